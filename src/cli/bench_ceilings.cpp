#include "cli/bench_ceilings.h"

#include <algorithm>
#include <vector>

#include "core/rng.h"

namespace nexus {
namespace {

// A device with memory of its own needs larger problems to show what it can.
bool is_accelerator(const Backend& backend) {
  return backend.memory().total_bytes > 0;
}

// Best time of one call, over rounds of as many calls as fill kRoundSeconds: the ends of a round, which an
// asynchronous device sees as gaps, must not count.
template <typename Call>
double best_seconds(Backend& backend, Call call) {
  constexpr int kRounds = 5, kMostCalls = 50;
  constexpr double kRoundSeconds = 0.03;
  const auto round = [&](int calls) {
    const Mark from = backend.mark();
    for (int i = 0; i < calls; ++i) call();
    return backend.seconds_between(from, backend.mark()) / calls;
  };
  round(1);  // kernels are chosen, pages are touched
  const int calls = static_cast<int>(std::clamp(kRoundSeconds / std::max(round(1), 1e-9), 1.0, double{kMostCalls}));
  double best = round(calls);
  for (int i = 1; i < kRounds; ++i) best = std::min(best, round(calls));
  return best;
}

// Values repeat after a prime number of them, so no two rows are alike; drawing each anew would take longer than the
// measurement.
std::vector<float> random_values(int64_t count) {
  constexpr int64_t kPeriod = 1'000'003;
  const RandomStream random(1, "gemm peak");
  std::vector<float> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    values[static_cast<size_t>(i)] = i < kPeriod ? static_cast<float>(random.uniform(static_cast<uint64_t>(i)) - 0.5)
                                                 : values[static_cast<size_t>(i - kPeriod)];
  return values;
}

// On random data: multiplying zeros costs a GPU less power, so it would run faster than training does.
double gemm_flops_per_second(Backend& backend, DType compute, int64_t n) {
  const std::vector<float> values = random_values(n * n);
  std::vector<Buffer> buffers;
  Tensor mats[3];
  for (Tensor& mat : mats) {
    buffers.push_back(backend.allocate(n * n * size_of(compute), "a matrix of the GEMM peak"));
    mat = buffers.back().tensor(compute, {n, n});
  }
  {
    const Buffer staging = backend.allocate(n * n * size_of(DType::kF32), "random values of the GEMM peak");
    const Tensor wide = staging.tensor(DType::kF32, {n, n});
    backend.copy_in(wide, values.data());
    for (const Tensor& mat : mats) backend.run(ops::Copy{.from = wide, .to = mat});
    backend.synchronize();
  }
  const double seconds = best_seconds(
      backend, [&] { backend.run(ops::MatMul{.a = mats[0], .b = Mat(mats[1]).t(), .c = mats[2], .beta = 0}); });
  return 2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n) / seconds;
}

double copy_bytes_per_second(Backend& backend, int64_t size_bytes) {
  const Buffer buffers[2] = {backend.allocate(size_bytes, "a buffer of the copy bandwidth"),
                             backend.allocate(size_bytes, "a buffer of the copy bandwidth")};
  const int64_t count = size_bytes / size_of(DType::kF32);
  const Tensor from = buffers[0].tensor(DType::kF32, {count}), to = buffers[1].tensor(DType::kF32, {count});
  for (const Tensor& tensor : {from, to}) backend.run(ops::Zero{tensor});
  return 2.0 * static_cast<double>(size_bytes) /
         best_seconds(backend, [&] { backend.run(ops::Copy{.from = from, .to = to}); });
}

}  // namespace

Ceilings measure_ceilings(Backend& backend, DType compute) {
  const bool large = is_accelerator(backend);
  Ceilings ceilings;
  ceilings.gemm_size = large ? 8192 : 2048;
  ceilings.copy_bytes = large ? int64_t{1} << 30 : int64_t{1} << 28;
  ceilings.gemm_flops_per_second = gemm_flops_per_second(backend, compute, ceilings.gemm_size);
  ceilings.copy_bytes_per_second = copy_bytes_per_second(backend, ceilings.copy_bytes);
  return ceilings;
}

}  // namespace nexus
