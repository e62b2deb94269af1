// Passes over ragged rows on every dp x tp grid of the ranks, against whole passes over one sequence at a time on one
// rank: log-likelihoods of requests that share what they begin with, and logits by a cache of keys and values.
#include <cmath>

#include "layers/device_batch.h"
#include "sampling/generator.h"
#include "support/grid_rig.h"
#include "support/mpi_expect.h"
#include "tasks/scorer.h"

namespace nexus {
namespace {

using testing::GridOptions;
using testing::GridRig;

constexpr DType kFinest = testing::kOnGpu ? DType::kF32 : DType::kF64;
// As in test_grids.cpp, for a forward pass: some 500 roundings.
constexpr double kTolerance = kFinest == DType::kF64 ? 6e-14 : 3e-5;
constexpr int64_t kVocab = 37;

// A beginning that all share, two that half of them share, and a rest of their own.
std::vector<ScoreRequest> make_requests() {
  std::vector<ScoreRequest> requests;
  const std::vector<int32_t> first = testing::random_tokens("first", 9, kVocab);
  for (int64_t i = 0; i < 24; ++i) {
    ScoreRequest request{first, 1 + i % 7};
    for (const auto& [name, size] : {std::pair<std::string, int64_t>{"half " + std::to_string(i / 12), 20},
                                     {"rest " + std::to_string(i), 2 + 5 * i % 17 + i % 7}}) {
      const std::vector<int32_t> part = testing::random_tokens(name, size, kVocab);
      request.ids.insert(request.ids.end(), part.begin(), part.end());
    }
    requests.push_back(request);
  }
  return requests;
}

void expect_near(double actual, double expected, const std::string& what) {
  MPI_EXPECT(std::abs(actual - expected) <= kTolerance * std::max(1.0, std::abs(expected)),
             fmt::format("{}: {} should be {}", what, actual, expected));
}

// One sequence by itself, by the passes that training and evaluations use.
class WholePass {
 public:
  explicit WholePass(const ModelConfig& config)
      : grid_(testing::on_device(make_self_communicator()), 1, 1), rig_(grid_, config, {kFinest}) {}

  // Of every position: -log of the probability of the next token.
  std::vector<double> losses(const std::vector<int32_t>& ids) {
    const int64_t context = std::ssize(ids) - 1;
    return run(ids, context, [&](const LayerContext& ctx, const Batch& batch, const Tensor& out) {
      rig_.model().evaluate(ctx, batch, out);
    });
  }
  // [positions, V]
  std::vector<double> logits(const std::vector<int32_t>& ids) {
    return run(
        ids, (std::ssize(ids) - 1) * kVocab,
        [&](const LayerContext& ctx, const Batch& batch, const Tensor& out) { rig_.model().predict(ctx, batch, out); });
  }

 private:
  template <typename Pass>
  std::vector<double> run(const std::vector<int32_t>& ids, int64_t count, const Pass& pass) {
    Backend& backend = testing::device();
    const int64_t context = std::ssize(ids) - 1;
    const HostBatch host(rig_.model().batch_fields(context), 1);
    std::copy(ids.begin(), ids.end() - 1, host.batch().at("tokens").as<int32_t>());
    std::copy(ids.begin() + 1, ids.end(), host.batch().at("targets").as<int32_t>());
    Arena arena(backend.allocate(1 << 24));
    const Batch batch = alloc_batch(arena, host.batch().fields(), 1);
    copy_in(backend, host.batch(), batch);
    const Tensor out = arena.alloc(rig_.params().wide_dtype(), {1, count});
    pass({backend, arena, rig_.params(), 1, context}, batch, out);
    const Buffer bytes = host_buffer(out.size_bytes());
    backend.copy_out(bytes.data(), out);
    if (kFinest == DType::kF64) return {static_cast<double*>(bytes.data()), static_cast<double*>(bytes.data()) + count};
    return {static_cast<float*>(bytes.data()), static_cast<float*>(bytes.data()) + count};
  }

  ProcessGrid grid_;
  GridRig rig_;
};

void check_scores(ProcessGrid& grid, const testing::NamedModel& model, bool sequence, WholePass& whole) {
  GridRig rig(grid, model.config, {.dtype = kFinest, .sequence = sequence});
  const std::vector<ScoreRequest> requests = make_requests();
  for (const int64_t batch_tokens : {70, 1000}) {
    const std::vector<ContinuationScore> scores =
        score_requests({testing::device(), grid, rig.model(), rig.params(), batch_tokens, "test"}, requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      const std::vector<double> losses = whole.losses(requests[i].ids);
      double sum = 0;
      for (auto loss = losses.end() - requests[i].scored; loss != losses.end(); ++loss) sum -= *loss;
      expect_near(scores[i].loglikelihood, sum, fmt::format("{}, request {}", model.name, i));
    }
  }
}

// Every rank by itself where the model is not shared.
void check_generator(ProcessGrid& grid, const testing::NamedModel& model, WholePass& whole) {
  GridRig rig(grid, model.config, {.dtype = kFinest, .sequence = false});
  const std::vector<int32_t> ids = testing::random_tokens("generated", 71, kVocab);
  const std::vector<double> expected = whole.logits(ids);
  Generator generator(testing::device(), grid.tp(), rig.model(), rig.params(), 70);
  for (const int64_t piece : {3, 60, 1, 1, 5}) {
    const auto begin = static_cast<size_t>(generator.length());
    const std::vector<double> logits = generator.read(std::span(ids).subspan(begin, static_cast<size_t>(piece)));
    for (int64_t token = 0; token < kVocab; ++token)
      expect_near(logits[static_cast<size_t>(token)],
                  expected[static_cast<size_t>((generator.length() - 1) * kVocab + token)],
                  fmt::format("{}, logit {} after {}", model.name, token, generator.length()));
  }
}

int run(MpiSession& session) {
  const int ranks = session.world()->size();
  for (int tp = 1; tp <= ranks; tp *= 2) {
    ProcessGrid grid(testing::on_device(session.world()), ranks / tp, tp);
    for (const testing::NamedModel& model : testing::divisible_models()) {
      WholePass whole(model.config);
      for (const bool sequence : {false, true}) check_scores(grid, model, sequence, whole);
      check_generator(grid, model, whole);
    }
  }
  return 0;
}

}  // namespace
}  // namespace nexus

int main(int argc, char** argv) {
  nexus::MpiSession session(&argc, &argv);
  return nexus::run(session);
}
