// Several ranks save row slices of shared tensors into one checkpoint; any rank reads them whole. Then one rank fails,
// and every rank must say so. Run by mpirun; exits 0 if all ranks agree that all is well.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/fault_points.h"
#include "comm/communicator.h"
#include "core/files.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kRows = 13, kColumns = 3;  // rows that no rank count divides

#define EXPECT(condition) \
  if (!(condition)) throw std::runtime_error(fmt::format("line {}: {}", __LINE__, #condition))

std::vector<float> whole_matrix(int64_t step) {
  std::vector<float> values(kRows * kColumns);
  std::iota(values.begin(), values.end(), static_cast<float>(step * 1000));
  return values;
}

// Rank r holds rows [kRows r / size, kRows (r + 1) / size) of "matrix"; the last rank alone holds "small".
void save(Communicator& comm, const RunFolder& run, int64_t step) {
  const std::vector<float> matrix = whole_matrix(step);
  const double small = static_cast<double>(step);
  const int64_t begin = kRows * comm.rank() / comm.size(), end = kRows * (comm.rank() + 1) / comm.size();
  std::vector<TensorSlice> slices = {
      {"matrix", DType::kF32, {kRows, kColumns}, begin, end - begin, matrix.data() + begin * kColumns}};
  if (comm.rank() == comm.size() - 1) slices.push_back({"small", DType::kF64, {1}, 0, 1, &small});
  const SaveResult result = save_checkpoint(comm, run, {"run-a", "s1", step}, slices, {{"tokens", step}});
  EXPECT(result.path == run.checkpoint("s1", step));
  EXPECT(result.size_bytes > kRows * kColumns * 4);
}

void expect_holds(const RunFolder& run, int64_t step, int ranks) {
  const Checkpoint checkpoint(run.checkpoint("s1", step));
  std::vector<float> matrix(kRows * kColumns);
  double small = 0;
  checkpoint.read("matrix", 0, kRows, matrix.data());
  checkpoint.read("small", 0, 1, &small);
  EXPECT(matrix == whole_matrix(step));
  EXPECT(small == static_cast<double>(step));
  EXPECT(checkpoint.manifest().at("files").size() == static_cast<size_t>(ranks) + 1);
}

// `bad_rank` fails at `point`; every rank must throw and name it, and nothing of step 2 may be left.
void expect_failure_everywhere(Communicator& comm, const RunFolder& run, int bad_rank, const std::string& point) {
  if (comm.rank() == bad_rank)
    set_fault_hook([&](std::string_view here) {
      if (here == point) throw Error(ErrorKind::kIo, "injected failure");
    });
  std::string message;
  try {
    save(comm, run, 2);
  } catch (const Error& e) {
    EXPECT(e.kind() == ErrorKind::kIo);
    message = e.what();
  }
  set_fault_hook({});
  EXPECT(message.find("injected failure") != std::string::npos);
  EXPECT(message.find(fmt::format("rank {}", bad_rank)) != std::string::npos);
  comm.barrier();
  EXPECT(!path_exists(run.checkpoint("s1", 2)));
  EXPECT(std::distance(fs::directory_iterator(run.checkpoints() + "/s1"), fs::directory_iterator()) == 1);
  comm.barrier();
}

void check_all(Communicator& comm, const RunFolder& run) {
  save(comm, run, 1);
  expect_holds(run, 1, comm.size());
  for (const char* point : {"shard-open", "shard-write", "shard-close", "read-back", "shard-sync"})
    for (const int bad_rank : {0, comm.size() - 1}) expect_failure_everywhere(comm, run, bad_rank, point);
  for (const char* point : {"folder", "state-write", "manifest-write", "rename"})
    expect_failure_everywhere(comm, run, 0, point);
  save(comm, run, 2);
  expect_holds(run, 2, comm.size());
  // Another number of ranks reads and writes the same run: here, one.
  if (comm.rank() == 0) {
    const auto alone = make_self_communicator();
    save(*alone, run, 3);
    expect_holds(run, 3, 1);
  }
  comm.barrier();
  EXPECT(newest_good_checkpoint(run, /*read_only=*/true) == run.checkpoint("s1", 3));
}

}  // namespace
}  // namespace nexus

int main(int argc, char** argv) {
  nexus::MpiSession session(&argc, &argv);
  const auto comm = session.world();
  std::string root(256, '\0');
  if (comm->rank() == 0) {
    root = (std::filesystem::temp_directory_path() / "nexus-ranks-XXXXXX").string();
    if (::mkdtemp(root.data()) == nullptr) nexus::MpiSession::abort(1);
  }
  const nexus::RunFolder run{comm->broadcast_text(root)};
  try {
    nexus::check_all(*comm, run);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "rank %d: %s\n", comm->rank(), e.what());
    nexus::MpiSession::abort(1);  // the others may be waiting for this rank
  }
  comm->barrier();
  if (comm->rank() == 0) std::filesystem::remove_all(run.root);
  return 0;
}
