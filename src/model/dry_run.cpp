#include "model/dry_run.h"

#include "backend/profiler.h"
#include "model/model.h"

namespace nexus {
namespace {

struct DryPass {
  int64_t batch = 0, context = 0;
  Recompute recompute = Recompute::kNone;
  const RaggedRows* ragged = nullptr;

  int64_t outputs() const { return ragged == nullptr ? context : ragged->outputs.count(); }
};

DryRun run(const ModelConfig& config, DType compute, const DryPass& pass, ModelUse use, const Sharding& sharding) {
  const std::unique_ptr<Backend> backend = make_dry_backend();
  Profiler counts(*backend);
  const std::unique_ptr<Communicator> tp = make_dry_communicator(sharding.tp_rank, sharding.tp_size);
  Model model(config, sharding);
  ParamStore params(*backend, model.table(), compute);
  Arena arena;
  LayerContext ctx{*backend, arena, params, pass.batch, pass.context, Pass::kTraining, tp.get(), pass.recompute};
  ctx.ragged = pass.ragged;
  const int64_t outputs = pass.outputs();
  const Batch samples(model.batch_fields(pass.context, outputs), pass.batch, [](DType dtype, const Shape& shape) {
    return Tensor{nullptr, dtype, shape};
  });
  const auto wide = [&](int64_t per_sample) { return Tensor{nullptr, params.wide_dtype(), {pass.batch, per_sample}}; };
  const OutputLayer& output = model.output();
  switch (use) {
    case ModelUse::kTraining: model.forward_backward(ctx, samples, 1.0, wide(output.losses_per_sample(outputs))); break;
    case ModelUse::kEvaluation: model.evaluate(ctx, samples, wide(output.figures_per_sample(outputs))); break;
    case ModelUse::kPrediction: model.predict(ctx, samples, wide(model.predictions_per_sample(outputs))); break;
    case ModelUse::kStatistics: {
      const Shape shape{sharding.tp_size, pass.batch * outputs, 3};
      model.softmax_statistics(ctx, samples, {nullptr, params.wide_dtype(), shape});
      break;
    }
  }
  return {arena.peak_bytes(), counts.sum_of({"matmul", "wgrad"}).flops,
          counts.sum_of({"attention_forward", "attention_backward"}).flops, tp->group_bytes()};
}

}  // namespace

DryRun dry_run(const ModelConfig& config, DType compute, int64_t batch, int64_t context, ModelUse use,
               const Sharding& sharding, Recompute recompute) {
  return run(config, compute, {batch, context, recompute}, use, sharding);
}

DryRun dry_run(const ModelConfig& config, DType compute, const RaggedExtents& extents, ModelUse use,
               const Sharding& sharding) {
  Arena tables;
  const RaggedRows rows = alloc_ragged(tables, extents, extents.rows);
  return run(config, compute, {1, extents.rows, Recompute::kNone, &rows}, use, sharding);
}

}  // namespace nexus
