// The only file that calls MPI.
#include <mpi.h>

#include <climits>
#include <cstdlib>
#include <utility>

#include "comm/communicator.h"

namespace nexus {
namespace {

// Collectives of more elements than an int are cut: MPI 3.1 counts are int. Also bounds the internal buffers of the
// library.
constexpr int64_t kMaxElements = int64_t{1} << 28;

void check(int code, const char* operation) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Error(ErrorKind::kComm, fmt::format("{} failed: {}", operation, std::string(text, static_cast<size_t>(length))),
              "", "run the same command again; `nexus doctor mpi` checks the launcher");
}

MPI_Datatype mpi_type(DType dtype) {
  switch (dtype) {
    case DType::kF32: return MPI_FLOAT;
    case DType::kF64: return MPI_DOUBLE;
    default: break;
  }
  NX_CHECK(false, "no reduction of {}", name_of(dtype));
  return MPI_DATATYPE_NULL;
}

class MpiCommunicator final : public Communicator {
 public:
  explicit MpiCommunicator(MPI_Comm comm) : comm_(comm) {
    check(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(comm_, &size_), "MPI_Comm_size");
    check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  }
  ~MpiCommunicator() override {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (!finalized) MPI_Comm_free(&comm_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void barrier() override { check(MPI_Barrier(comm_), "MPI_Barrier"); }

  void all_reduce_sum(const Tensor& x) override { start_all_reduce_sum(x).wait(); }

  Request start_all_reduce_sum(const Tensor& x) override {
    if (size_ == 1 || x.count() == 0) return {};
    bytes_moved_ += 2 * x.size_bytes() * (size_ - 1) / size_;
    auto pending = std::make_shared<std::vector<MPI_Request>>();
    for (int64_t begin = 0; begin < x.count(); begin += kMaxElements) {
      const Tensor part = x.flat(begin, std::min(kMaxElements, x.count() - begin));
      pending->emplace_back();
      check(MPI_Iallreduce(MPI_IN_PLACE, part.data, static_cast<int>(part.count()), mpi_type(x.dtype), MPI_SUM, comm_,
                           &pending->back()),
            "MPI_Iallreduce");
    }
    const auto count = static_cast<int>(pending->size());
    auto wait = [pending, count] { check(MPI_Waitall(count, pending->data(), MPI_STATUSES_IGNORE), "MPI_Allreduce"); };
    auto poke = [pending, count] {
      int done = 0;
      check(MPI_Testall(count, pending->data(), &done, MPI_STATUSES_IGNORE), "MPI_Testall");
    };
    return Request(std::move(wait), std::move(poke));
  }

  void broadcast(void* data, int64_t size_bytes, int root) override {
    for (int64_t begin = 0; begin < size_bytes; begin += kMaxElements) {
      const int64_t part = std::min(kMaxElements, size_bytes - begin);
      check(MPI_Bcast(static_cast<char*>(data) + begin, static_cast<int>(part), MPI_BYTE, root, comm_), "MPI_Bcast");
    }
    if (rank_ == root) bytes_moved_ += size_bytes;
  }

  std::vector<std::string> all_gather_text(const std::string& mine) override {
    const auto length = static_cast<int>(mine.size());
    std::vector<int> lengths(static_cast<size_t>(size_)), offsets(static_cast<size_t>(size_));
    check(MPI_Allgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, comm_), "MPI_Allgather");
    int64_t total = 0;
    for (size_t r = 0; r < lengths.size(); ++r) {
      offsets[r] = static_cast<int>(total);
      total += lengths[r];
    }
    NX_CHECK(total <= INT_MAX, "{} bytes of text", total);
    std::string all(static_cast<size_t>(total), '\0');
    check(MPI_Allgatherv(mine.data(), length, MPI_BYTE, all.data(), lengths.data(), offsets.data(), MPI_BYTE, comm_),
          "MPI_Allgatherv");
    std::vector<std::string> texts;
    for (size_t r = 0; r < lengths.size(); ++r)
      texts.push_back(all.substr(static_cast<size_t>(offsets[r]), static_cast<size_t>(lengths[r])));
    return texts;
  }

 private:
  MPI_Comm comm_;
  int rank_ = 0, size_ = 1;
};

// A launcher that could not reach our MPI starts every task as a world of one; each would train the whole campaign into
// the same folder. The environment tells how many tasks were meant.
void refuse_singletons(int world_size) {
  if (world_size != 1) return;
  const char* tasks = std::getenv("SLURM_STEP_NUM_TASKS");
  if (tasks == nullptr || std::atoi(tasks) <= 1 || std::getenv("SLURM_PROCID") == nullptr) return;
  throw Error(ErrorKind::kConfig, fmt::format("srun started {} tasks, but MPI sees one rank in each", tasks),
              "launcher and MPI library do not fit", "use `srun --mpi=pmix`, or `mpirun` inside the allocation");
}

}  // namespace

MpiSession::MpiSession(int* argc, char*** argv) {
  int provided = 0;
  check(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
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

std::unique_ptr<Communicator> MpiSession::world() {
  MPI_Comm copy = MPI_COMM_NULL;
  check(MPI_Comm_dup(MPI_COMM_WORLD, &copy), "MPI_Comm_dup");
  return std::make_unique<MpiCommunicator>(copy);
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

}  // namespace nexus
