// Several ranks save rows and columns of shared tensors into one checkpoint; any rank reads them whole. Then one rank
// fails, at once or in the background, and every rank must say so; files are damaged, and every rank must choose the
// same older checkpoint. Run by mpirun; exits 0 if all ranks agree that all is well.
#include <sys/resource.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/fault_points.h"
#include "checkpoint/pending_save.h"
#include "comm/communicator.h"
#include "core/files.h"
#include "support/failing_io.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kRows = 13, kColumns = 3, kWide = 9;  // extents that no rank count divides

#define EXPECT(condition) \
  if (!(condition)) throw std::runtime_error(fmt::format("line {}: {}", __LINE__, #condition))

std::vector<float> whole_matrix(int64_t step) {
  std::vector<float> values(kRows * kColumns);
  std::iota(values.begin(), values.end(), static_cast<float>(step * 1000));
  return values;
}

// What a rank saves: rows [kRows r / size, kRows (r + 1) / size) of "matrix", every size-th column of "columns" from r
// on, and on the last rank "small". The memory outlives a save that is under way.
struct Held {
  std::vector<float> matrix, column;
  double small = 0;
  std::vector<TensorSlice> slices;

  Held(const Communicator& comm, int64_t step) : matrix(whole_matrix(step)), small(static_cast<double>(step)) {
    const int64_t begin = kRows * comm.rank() / comm.size(), end = kRows * (comm.rank() + 1) / comm.size();
    slices.push_back(
        {"matrix", DType::kF32, {kRows, kColumns}, {begin, end - begin, 0, kColumns}, &matrix[begin * kColumns]});
    for (int64_t row = 0; row < kRows; ++row) column.push_back(matrix[row * kColumns]);
    for (int64_t c = comm.rank(); c < kWide; c += comm.size())
      slices.push_back({"columns", DType::kF32, {kRows, kWide}, {0, kRows, c, 1}, column.data()});
    if (comm.rank() == comm.size() - 1) slices.push_back({"small", DType::kF64, {1}, {0, 1, 0, 1}, &small});
  }
};

void save(Communicator& comm, const RunFolder& run, int64_t step) {
  const Held held(comm, step);
  const SaveResult result = save_checkpoint(comm, run, {"run-a", "s1", step}, held.slices, {{"tokens", step}});
  EXPECT(result.path == run.checkpoint("s1", step));
  EXPECT(result.size_bytes > kRows * kColumns * 4);
}

// Saves in the background; "steps" (reductions) go on until every rank has written.
void save_behind(Communicator& comm, const RunFolder& run, int64_t step) {
  const Held held(comm, step);
  PendingSave pending(comm, run, {"run-a", "s1", step}, held.slices, {{"tokens", step}});
  while (comm.any(!pending.written())) {
  }
  EXPECT(!path_exists(run.checkpoint("s1", step)));
  comm.barrier();
  EXPECT(pending.commit().path == run.checkpoint("s1", step));
}

void expect_holds(const RunFolder& run, int64_t step, int ranks) {
  const Checkpoint checkpoint(run.checkpoint("s1", step));
  std::vector<float> matrix(kRows * kColumns);
  double small = 0;
  checkpoint.read("matrix", {0, kRows, 0, kColumns}, matrix.data());
  checkpoint.read("small", {0, 1, 0, 1}, &small);
  EXPECT(matrix == whole_matrix(step));
  EXPECT(small == static_cast<double>(step));
  std::vector<float> columns(kRows * 4);  // of several ranks
  checkpoint.read("columns", {0, kRows, 2, 4}, columns.data());
  for (int64_t i = 0; i < kRows * 4; ++i)
    EXPECT(columns[static_cast<size_t>(i)] == matrix[static_cast<size_t>(i / 4 * kColumns)]);
  EXPECT(checkpoint.manifest().at("files").size() == static_cast<size_t>(ranks) + 1);
}

// `bad_rank` fails at `point`; every rank must throw and name it, and nothing of step 2 may be left.
using Save = void (*)(Communicator&, const RunFolder&, int64_t);
void expect_failure_everywhere(Communicator& comm, const RunFolder& run, int bad_rank, const std::string& point,
                               Save how) {
  if (comm.rank() == bad_rank)
    set_fault_hook([&](std::string_view here) {
      if (here == point) throw Error(ErrorKind::kIo, "injected failure");
    });
  std::string message;
  try {
    how(comm, run, 2);
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

// One rank is slow: the others' steps go on and its own do too; one gives up: nobody's file is left.
void check_background(Communicator& comm, const RunFolder& run) {
  using namespace std::chrono_literals;
  if (comm.rank() == comm.size() - 1)
    set_fault_hook([](std::string_view here) {
      if (here == "shard-sync") std::this_thread::sleep_for(200ms);
    });
  save_behind(comm, run, 3);
  expect_holds(run, 3, comm.size());
  {
    const Held held(comm, 4);
    const PendingSave given_up(comm, run, {"run-a", "s1", 4}, held.slices, {});
  }
  set_fault_hook({});
  comm.barrier();
  for (const auto& entry : fs::directory_iterator(run.checkpoints() + "/s1"))
    EXPECT(entry.path().string().find(".tmp-") == std::string::npos);
  comm.barrier();
}

void flip_byte(const std::string& path) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(100);
  const auto value = static_cast<char>(file.get() ^ 1);
  file.seekp(100);
  file.put(value);
}

// Whichever rank's share the damaged file is in, all go back to the same older checkpoint.
void check_choice(Communicator& comm, const RunFolder& run) {
  const auto chosen = [&](const std::string& run_id) {
    std::string path = newest_good_checkpoint(comm, run, run_id);
    comm.require_equal("the checkpoint chosen", path);
    return path;
  };
  for (int bad = 0; bad < comm.size(); ++bad) {
    save(comm, run, 10);
    EXPECT(chosen("run-a") == run.checkpoint("s1", 10));
    comm.barrier();
    if (comm.rank() == 0) flip_byte(fmt::format("{}/shard-{:04}.h5", run.checkpoint("s1", 10), bad));
    comm.barrier();
    EXPECT(chosen("run-a") == run.checkpoint("s1", 3));
    EXPECT(!path_exists(run.checkpoint("s1", 10)));
    EXPECT(path_exists(run.checkpoint("s1", 10) + (bad == 0 ? ".bad" : fmt::format(".{}.bad", bad + 1))));
    comm.barrier();
  }
  const auto expect_all_throw = [&](const std::string& run_id, const std::string& part) {
    std::string message;
    try {
      newest_good_checkpoint(comm, run, run_id);
    } catch (const Error& e) {
      message = e.what();
    }
    EXPECT(message.find(part) != std::string::npos);
    comm.barrier();
  };
  expect_all_throw("run-b", "none of 3 checkpoints verifies");
  EXPECT(path_exists(run.checkpoint("s1", 3)));
  comm.barrier();
  // Trouble that is no damage, on one rank: every rank stops, and nothing is set aside.
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  rlimit none = files;
  none.rlim_cur = 3;  // standard streams: every open() fails with EMFILE
  if (comm.rank() == comm.size() - 1) ::setrlimit(RLIMIT_NOFILE, &none);
  expect_all_throw("run-a", fmt::format("verifying the checkpoint failed on rank {}", comm.size() - 1));
  ::setrlimit(RLIMIT_NOFILE, &files);
  EXPECT(chosen("run-a") == run.checkpoint("s1", 3));
}

// Reading that fails on one rank: once, and it is tried again; for ever, and all ranks stop. No checkpoint is touched.
void check_read_errors(Communicator& comm, const RunFolder& run) {
  const int last = comm.size() - 1;
  save(comm, run, 12);
  for (const int code : {EIO, ESTALE}) {
    for (const char* call : {"pread", "open", "stat"}) {
      for (const long count : {1L, -1L}) {
        std::string path, message;
        {
          const FailingIo failing(call, code, "0000012/shard", count, 0, last);
          try {
            path = newest_good_checkpoint(comm, run, "run-a");
          } catch (const Error& error) {
            EXPECT(error.kind() == ErrorKind::kIo);
            message = error.what();
          }
          comm.barrier();
        }
        EXPECT(count == 1 ? path == run.checkpoint("s1", 12)
                          : message.find(fmt::format("failed on rank {}", last)) != std::string::npos);
        EXPECT(path_exists(run.checkpoint("s1", 12)));
      }
    }
  }
}

// A value of the last rank that is not finite: not committed where it must be, and otherwise not resumed from.
void check_finite(Communicator& comm, const RunFolder& run) {
  const int last = comm.size() - 1;
  Held held(comm, 13);
  if (comm.rank() == last) held.small = std::nan("");
  for (TensorSlice& slice : held.slices) slice.must_be_finite = true;
  std::string message;
  try {
    save_checkpoint(comm, run, {"run-a", "s1", 13}, held.slices, {});
  } catch (const Error& error) {
    EXPECT(error.kind() == ErrorKind::kNumeric);
    message = error.what();
  }
  EXPECT(message.find(fmt::format("rank {}: tensor 'small' holds a value that is not finite", last)) !=
         std::string::npos);
  EXPECT(newest_good_checkpoint(comm, run, "run-a") == run.checkpoint("s1", 12));
  comm.barrier();
  for (TensorSlice& slice : held.slices) slice.must_be_finite = false;
  save_checkpoint(comm, run, {"run-a", "s1", 13}, held.slices, {});
  EXPECT(newest_good_checkpoint(comm, run, "run-a") == run.checkpoint("s1", 12));
  EXPECT(path_exists(run.checkpoint("s1", 13) + ".bad"));
  comm.barrier();
}

void check_all(Communicator& comm, const RunFolder& run) {
  EXPECT(newest_good_checkpoint(comm, run, "run-a").empty());
  save(comm, run, 1);
  expect_holds(run, 1, comm.size());
  for (const Save how : {save, save_behind}) {
    for (const char* point : {"shard-open", "shard-write", "shard-close", "read-back", "shard-sync"})
      for (const int bad_rank : {0, comm.size() - 1}) expect_failure_everywhere(comm, run, bad_rank, point, how);
    for (const char* point : {"folder", "state-write", "manifest-write", "rename"})
      expect_failure_everywhere(comm, run, 0, point, how);
  }
  save(comm, run, 2);
  expect_holds(run, 2, comm.size());
  check_background(comm, run);
  check_choice(comm, run);
  check_read_errors(comm, run);
  check_finite(comm, run);
  // Another number of ranks reads and writes the same run: here, one.
  if (comm.rank() == 0) {
    const auto alone = make_self_communicator();
    save(*alone, run, 14);
    expect_holds(run, 14, 1);
  }
  comm.barrier();
  EXPECT(newest_good_checkpoint(run, /*read_only=*/true) == run.checkpoint("s1", 14));
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
