// 20 steps on N data-parallel ranks against the same 20 steps on one: equal to the rounding of f32 sums, and bit-equal
// when the N-rank run is repeated. Every rank must end with the same weights.
#include <cmath>
#include <vector>

#include "core/hash.h"
#include "core/rng.h"
#include "growth/grow.h"
#include "support/mpi_expect.h"
#include "train/step.h"

namespace nexus {
namespace {

constexpr int64_t kContext = 32, kVocab = 90;

struct Result {
  std::vector<double> losses;
  std::string weights_digest;
};

Result train(Communicator& dp, DType dtype) {
  const auto backend = make_cpu_backend(1);
  ModelConfig config;
  config.d = 32;
  config.layers = 2;
  config.heads = 2;
  config.m = 48;
  config.a = 64;
  config.f = 64;
  config.vocab = kVocab;
  config.validate();
  Model model(config);
  ParamStore params(*backend, model.table(), dtype);
  params.initialize(4);
  const BatchLayout layout = make_batch_layout({kContext * 16, 2}, kContext, dp.rank(), dp.size());
  StepRunner runner(*backend, dp, model, params, layout, {});
  AdamW adamw;
  adamw.clip = 1.0;
  Optimizer optimizer(adamw, 0.1, {first_generation(config)});
  const auto fetch = [](int64_t sample, int32_t* tokens, int32_t* targets) {
    const RandomStream random(3, "text");
    for (int64_t t = 0; t < kContext; ++t) {
      tokens[t] = static_cast<int32_t>(random.below(static_cast<uint64_t>(sample * kContext + t), kVocab));
      targets[t] = (tokens[t] * 7 + 1) % static_cast<int32_t>(kVocab);  // learnable
    }
  };
  Result result;
  for (int step = 0; step < 20; ++step)
    result.losses.push_back(runner.run(fetch, optimizer, {step * layout.samples(), 3e-3, 3e-3, {}}).loss);
  std::vector<char> bytes(static_cast<size_t>(params.master().size_bytes()));
  backend->copy_out(bytes.data(), params.master());
  result.weights_digest = hash_bytes(bytes.data(), bytes.size());
  return result;
}

void compare(Communicator& world, DType dtype, double tolerance) {
  const Result many = train(world, dtype), again = train(world, dtype);
  const auto self = make_self_communicator();
  const Result one = train(*self, dtype);
  world.require_equal("the weights", many.weights_digest);
  MPI_EXPECT(many.weights_digest == again.weights_digest, "a repeated run has other weights");
  MPI_EXPECT(one.losses.back() < one.losses.front() - 0.3, "the model did not learn");
  for (size_t step = 0; step < one.losses.size(); ++step)
    MPI_EXPECT(std::abs(one.losses[step] - many.losses[step]) <= tolerance * one.losses[step],
               fmt::format("{} step {}: {} on one rank, {} on {}", name_of(dtype), step + 1, one.losses[step],
                           many.losses[step], world.size()));
}

}  // namespace
}  // namespace nexus

int main(int argc, char** argv) {
  nexus::MpiSession session(&argc, &argv);
  const auto world = session.world();
  // Only the order of sums differs. A rounding of 2^-24 in a gradient reaches the loss through up to 20 Adam updates,
  // each of which can turn a tiny gradient around: 1e-5 is 170 such roundings; in f64 the same argument gives 1e-12.
  nexus::compare(*world, nexus::DType::kF32, 1e-5);
  nexus::compare(*world, nexus::DType::kF64, 1e-12);
  return 0;
}
