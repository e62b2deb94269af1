#include "model/dry_run.h"

#include "backend/profiler.h"
#include "model/model.h"

namespace nexus {

DryRun dry_run(const ModelConfig& config, DType compute, int64_t batch, int64_t context, ModelUse use,
               const Sharding& sharding, Recompute recompute) {
  const std::unique_ptr<Backend> backend = make_dry_backend();
  Profiler counts(*backend);
  const std::unique_ptr<Communicator> tp = make_dry_communicator(sharding.tp_rank, sharding.tp_size);
  Model model(config, sharding);
  ParamStore params(*backend, model.table(), compute);
  Arena arena;
  const LayerContext ctx{*backend, arena, params, batch, context, Pass::kTraining, tp.get(), recompute};
  const Tensor tokens{nullptr, DType::kI32, {ctx.rows()}};
  const Tensor losses{nullptr, params.wide_dtype(), {ctx.rows()}};
  switch (use) {
    case ModelUse::kTraining: model.forward_backward(ctx, tokens, tokens, 1.0, losses); break;
    case ModelUse::kEvaluation: model.evaluate(ctx, tokens, tokens, losses); break;
    case ModelUse::kLogits:
      model.logits(ctx, tokens, Tensor{nullptr, params.wide_dtype(), {ctx.rows(), model.local_vocab()}});
      break;
  }
  return {arena.peak_bytes(), counts.sum_of({"matmul", "wgrad"}).flops,
          counts.sum_of({"attention_forward", "attention_backward"}).flops, tp->group_bytes()};
}

}  // namespace nexus
