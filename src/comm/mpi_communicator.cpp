// MpiCommunicator and the MPI session.
#include <mpi.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "comm/communicator.h"
#include "comm/mpi_operations.h"
#include "comm/progress.h"
#include "comm/tensor_checks.h"
#include "system/launch_environment.h"

namespace nexus {
namespace {

// Broadcasts of more bytes are cut: MPI 3.1 counts are int.
constexpr int64_t kMaxBytes = int64_t{1} << 30;

// World rank of rank 0 of `comm`.
int first_world_rank(MPI_Comm comm) {
  MPI_Group world = MPI_GROUP_NULL, group = MPI_GROUP_NULL;
  check_mpi(MPI_Comm_group(MPI_COMM_WORLD, &world), "MPI_Comm_group");
  check_mpi(MPI_Comm_group(comm, &group), "MPI_Comm_group");
  const int zero = 0;
  int first = 0;
  check_mpi(MPI_Group_translate_ranks(group, 1, &zero, world, &first), "MPI_Group_translate_ranks");
  MPI_Group_free(&group);
  MPI_Group_free(&world);
  return first;
}

class MpiCommunicator final : public Communicator {
 public:
  // Takes over `comm`. Collective.
  MpiCommunicator(MPI_Comm comm, const std::string& name, int64_t longest_message)
      : links_(std::make_shared<MpiLinks>(comm, longest_message)),
        name_(name),
        channel_(name, first_world_rank(comm), links_->size) {}

  int rank() const override { return links_->rank; }
  int size() const override { return links_->size; }
  const std::string& name() const override { return name_; }

  std::unique_ptr<Communicator> split(int color, int key, const std::string& name) override {
    const progress::Inside inside(channel_.next("split", 0, "byte"));
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split(links_->comm, color, key, &part), "MPI_Comm_split");
    return std::make_unique<MpiCommunicator>(part, name, links_->longest_message);
  }

  void barrier() override {
    const progress::Inside inside(channel_.next("barrier", 0, "byte"));
    check_mpi(MPI_Barrier(links_->comm), "MPI_Barrier");
  }

  Request start_all_reduce_sum(const Tensor& x) override {
    check_all_reduce(x);
    const progress::Operation operation = channel_.next("all_reduce", x.count(), name_of(x.dtype));
    if (size() == 1 || x.count() == 0) return {};
    group_bytes_ += 2 * (size() - 1) * x.size_bytes();
    return request(operation, [&] { return MpiSum::all_reduce(links_, x); });
  }

  Request start_reduce_scatter_sum(const Tensor& x, const Tensor& mine) override {
    check_parts(x, mine, rank(), size());
    const progress::Operation operation = channel_.next("reduce_scatter", x.count(), name_of(x.dtype));
    if (size() == 1) copy(x, mine);
    if (size() == 1 || x.count() == 0) return {};
    group_bytes_ += (size() - 1) * x.size_bytes();
    return request(operation, [&] { return MpiSum::reduce_scatter(links_, x, mine); });
  }

  Request start_all_gather(const Tensor& mine, const Tensor& all) override {
    check_parts(all, mine, rank(), size());
    const progress::Operation operation = channel_.next("all_gather", all.count(), name_of(all.dtype));
    if (size() == 1) copy(mine, all);
    if (size() == 1 || all.count() == 0) return {};
    group_bytes_ += (size() - 1) * all.size_bytes();
    return request(operation, [&] { return std::make_shared<MpiGather>(links_, mine, all); });
  }

  void sum(std::span<double> values) override {
    all_reduce_sum({values.data(), DType::kF64, {static_cast<int64_t>(values.size())}});
  }

  void broadcast(void* data, int64_t size_bytes, int root) override {
    const progress::Inside inside(channel_.next("broadcast", size_bytes, "byte"));
    for (int64_t begin = 0; begin < size_bytes; begin += kMaxBytes) {
      const int64_t part = std::min(kMaxBytes, size_bytes - begin);
      check_mpi(MPI_Bcast(static_cast<char*>(data) + begin, static_cast<int>(part), MPI_BYTE, root, links_->comm),
                "MPI_Bcast");
    }
  }

  std::vector<std::string> all_gather_text(const std::string& mine) override {
    const progress::Inside inside(channel_.next("all_gather_text", static_cast<int64_t>(mine.size()), "byte"));
    const auto ranks = static_cast<size_t>(size());
    const auto length = static_cast<int64_t>(mine.size());
    std::vector<int64_t> lengths(ranks);
    check_mpi(MPI_Allgather(&length, 1, MPI_INT64_T, lengths.data(), 1, MPI_INT64_T, links_->comm), "MPI_Allgather");
    std::vector<int> counts(ranks), offsets(ranks);
    int64_t total = 0;
    for (size_t r = 0; r < ranks; ++r) {
      counts[r] = static_cast<int>(lengths[r]);
      offsets[r] = static_cast<int>(total);
      total += lengths[r];
      NX_CHECK(total <= INT_MAX, "{} bytes of text", total);
    }
    std::string all(static_cast<size_t>(total), '\0');
    check_mpi(MPI_Allgatherv(mine.data(), static_cast<int>(length), MPI_BYTE, all.data(), counts.data(), offsets.data(),
                             MPI_BYTE, links_->comm),
              "MPI_Allgatherv");
    std::vector<std::string> texts;
    for (size_t r = 0; r < ranks; ++r)
      texts.push_back(all.substr(static_cast<size_t>(offsets[r]), static_cast<size_t>(counts[r])));
    return texts;
  }

 private:
  static void copy(const Tensor& from, const Tensor& to) {
    if (from.data != to.data) std::memcpy(to.data, from.data, static_cast<size_t>(from.size_bytes()));
  }

  // Starts an operation and wraps it; the watchdog sees who waits in it.
  template <typename Start>
  static Request request(const progress::Operation& operation, Start start) {
    const progress::Inside starting(operation);
    auto under_way = start();
    return Request(
        [under_way, operation] {
          const progress::Inside waiting(operation);
          under_way->wait();
        },
        [under_way] { under_way->poke(); });
  }

  std::shared_ptr<MpiLinks> links_;
  std::string name_;
  progress::Channel channel_;
};

// A launcher that could not reach our MPI starts every task as a world of one; each would train the whole campaign into
// the same folder. The environment tells how many tasks were meant.
void refuse_singletons(int world_size) {
  const LaunchEnvironment launch = launch_environment();
  if (world_size != 1 || launch.by != StartedBy::kSrun) return;
  throw Error(ErrorKind::kConfig, fmt::format("srun started {} tasks, but MPI sees one rank in each", launch.size),
              "launcher and MPI library do not fit", "use `srun --mpi=pmix`, or `mpirun` inside the allocation");
}

// hwloc, which MPI asks for cores, has plugins that look for GPUs and displays: OpenCL's opens every GPU of the host in
// every process, which takes minutes where many start at once, and an X server is sought on localhost. Nobody here uses
// what they find. Names that hwloc does not know are passed over; what the user has set stands.
void keep_hwloc_to_cores() {
  ::setenv("HWLOC_COMPONENTS", "-gl,-opencl,-cuda,-nvml,-rsmi,-levelzero", 0);
}

}  // namespace

MpiSession::MpiSession(int* argc, char*** argv) {
  keep_hwloc_to_cores();
  int provided = 0;
  check_mpi(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  try {
    refuse_singletons(size);
  } catch (...) {
    MPI_Finalize();
    throw;
  }
}

MpiSession::~MpiSession() {
  MPI_Finalize();
}

std::unique_ptr<Communicator> MpiSession::world(int64_t longest_message) {
  MPI_Comm copy = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &copy), "MPI_Comm_dup");
  return std::make_unique<MpiCommunicator>(copy, "world", longest_message);
}

void MpiSession::abort(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

std::string MpiSession::library_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string version(text, static_cast<size_t>(length));
  return version.substr(0, version.find(','));
}

std::string MpiSession::compiled_version() {
#ifdef OMPI_MAJOR_VERSION
  return fmt::format("Open MPI v{}.{}.{}", OMPI_MAJOR_VERSION, OMPI_MINOR_VERSION, OMPI_RELEASE_VERSION);
#else
  return "";
#endif
}

}  // namespace nexus
