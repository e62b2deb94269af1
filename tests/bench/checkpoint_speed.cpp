// Speed of saving and loading a checkpoint of about 1.1 GB on one rank: checkpoint_speed FOLDER
//
// Prints wall clock and processor time per phase. Compare with `dd if=RANDOM_FILE of=FOLDER/x bs=4M conv=fsync` of
// equal size on the same disk. FOLDER/checkpoints is left for another look (verify, drop caches and read again) and may
// be removed.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/rng.h"

namespace nexus {
namespace {

constexpr int kTensors = 90;
constexpr int64_t kRows = 1024, kColumns = 3072;

double processor_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void measure(const char* phase, const std::function<void()>& work) {
  const double processor = processor_seconds();
  const auto start = std::chrono::steady_clock::now();
  work();
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double gigabytes = 1e-9 * kTensors * kRows * kColumns * sizeof(float);
  std::printf("%-16s wall_seconds %6.2f gb_per_s %5.2f processor_seconds %5.2f\n", phase, wall, gigabytes / wall,
              processor_seconds() - processor);
  std::fflush(stdout);
}

// Random bits: a disk that compresses or skips zeros must not look fast.
std::vector<std::vector<float>> random_tensors() {
  std::vector<std::vector<float>> tensors(kTensors);
  const RandomStream stream(1, "checkpoint_speed");
  uint64_t index = 0;
  for (std::vector<float>& tensor : tensors) {
    tensor.resize(static_cast<size_t>(kRows * kColumns));
    for (float& value : tensor) value = static_cast<float>(stream.uniform(index++));
  }
  return tensors;
}

void run(const std::string& folder) {
  const RunFolder run{folder};
  make_folders(run.root);
  const auto comm = make_self_communicator();
  const std::vector<std::vector<float>> tensors = random_tensors();
  std::vector<TensorSlice> slices;
  for (int i = 0; i < kTensors; ++i)
    slices.push_back({fmt::format("master/t{}", i),
                      DType::kF32,
                      {kRows, kColumns},
                      0,
                      kRows,
                      tensors[static_cast<size_t>(i)].data()});
  measure("digest memory", [&] {
    for (const auto& tensor : tensors) hash_bytes(tensor.data(), tensor.size() * sizeof(float));
  });
  for (int64_t step = 1; step <= 3; ++step)
    measure("save", [&] { save_checkpoint(*comm, run, {"speed", "s", step}, slices, {}); });
  const std::string path = run.checkpoint("s", 3);
  measure("open and verify", [&] { Checkpoint checkpoint(path); });
  const Checkpoint checkpoint(path, /*verify_data=*/false);
  std::vector<float> buffer(static_cast<size_t>(kRows * kColumns));
  measure("read", [&] {
    for (const TensorSlice& slice : slices) checkpoint.read(slice.name, 0, kRows, buffer.data());
  });
}

}  // namespace
}  // namespace nexus

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: checkpoint_speed FOLDER\n");
    return 2;
  }
  try {
    nexus::run(argv[1]);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return 0;
}
