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
  const Batch samples(model.batch_fields(context), batch, [](DType dtype, const Shape& shape) {
    return Tensor{nullptr, dtype, shape};
  });
  const auto wide = [&](int64_t per_sample) { return Tensor{nullptr, params.wide_dtype(), {batch, per_sample}}; };
  const OutputLayer& output = model.output();
  switch (use) {
    case ModelUse::kTraining: model.forward_backward(ctx, samples, 1.0, wide(output.losses_per_sample(context))); break;
    case ModelUse::kEvaluation: model.evaluate(ctx, samples, wide(output.figures_per_sample(context))); break;
    case ModelUse::kPrediction: model.predict(ctx, samples, wide(model.predictions_per_sample(context))); break;
    case ModelUse::kStatistics: {
      const Shape shape{sharding.tp_size, ctx.rows(), 3};
      model.softmax_statistics(ctx, samples, {nullptr, params.wide_dtype(), shape});
      break;
    }
  }
  return {arena.peak_bytes(), counts.sum_of({"matmul", "wgrad"}).flops,
          counts.sum_of({"attention_forward", "attention_backward"}).flops, tp->group_bytes()};
}

}  // namespace nexus
