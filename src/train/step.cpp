#include "train/step.h"

#include <cmath>
#include <vector>

#include "comm/progress.h"
#include "core/log.h"
#include "layers/device_batch.h"
#include "model/dry_run.h"
#include "system/clock.h"
#include "train/finite_state.h"
#include "train/memory_advice.h"

namespace nexus {
namespace {

struct MicroBatch {
  Batch samples;
  Tensor losses;
};

MicroBatch alloc_micro_batch(Arena& arena, const Model& model, const BatchLayout& layout, DType compute) {
  Batch samples = alloc_batch(arena, model.batch_fields(layout.context), layout.micro);
  const int64_t losses = model.output().losses_per_sample(layout.context);
  return {std::move(samples), arena.alloc(wide_of(compute), {layout.micro, losses})};
}

}  // namespace

StepRunner::StepRunner(Backend& backend, ProcessGrid& grid, Model& model, ParamStore& params, const BatchLayout& layout,
                       const SafetySpec& safety, const StepOptions& options)
    : backend_(backend),
      grid_(grid),
      model_(model),
      params_(params),
      layout_(layout),
      safety_(safety),
      recompute_(options.recompute),
      losses_per_sample_(model.output().losses_per_sample(layout.context)),
      arena_(allocate_activations(
          backend, {model.config(), params.compute_dtype(), layout, params.table().sharding(), options})),
      host_batch_(model.batch_fields(layout.context), layout.micro),
      facts_buffer_(backend.allocate(2 * size_of(DType::kF64), "the sum of losses")),
      facts_(facts_buffer_.tensor(DType::kF64, {2})),
      loss_sum_(facts_.flat(0, 1)),
      nonfinite_(facts_.flat(1, 1)),
      exchange_(grid, params) {
  backend_.run(ops::Zero{facts_});
}

int64_t StepRunner::arena_bytes(const ModelConfig& config, DType compute, const BatchLayout& layout,
                                const Sharding& sharding, Recompute recompute) {
  Arena counting;
  alloc_micro_batch(counting, Model(config, sharding), layout, compute);
  return counting.peak_bytes() +
         dry_run(config, compute, layout.micro, layout.context, ModelUse::kTraining, sharding, recompute).arena_bytes;
}

void StepRunner::micro_batch(const FetchSample& fetch, const StepInput& input, int64_t index) {
  const double start = steady_seconds();
  for (int64_t row = 0; row < layout_.micro; ++row)
    fetch(layout_.sample(input.first_sample, index, row), host_batch_.batch(), row);
  data_seconds_ += steady_seconds() - start;

  const Arena::Frame frame(arena_);
  const MicroBatch batch = alloc_micro_batch(arena_, model_, layout_, params_.compute_dtype());
  copy_in(backend_, host_batch_.batch(), batch.samples);
  Model::GradsReady ready;
  if (index + 1 == layout_.accumulation) ready = [this](int bucket) { exchange_.start(bucket); };
  const LayerContext ctx{backend_,        arena_,          params_,     layout_.micro,
                         layout_.context, Pass::kTraining, &grid_.tp(), recompute_};
  model_.forward_backward(ctx, batch.samples, 1.0 / losses(), batch.losses, ready);
  backend_.run(ops::AddSum{.x = batch.losses, .total = loss_sum_});
  progress::tick();
}

StepOutput StepRunner::run(const FetchSample& fetch, Optimizer& optimizer, const StepInput& input) {
  data_seconds_ = 0;
  params_.zero_grad();
  backend_.run(ops::Zero{loss_sum_});
  for (int64_t index = 0; index < layout_.accumulation; ++index) micro_batch(fetch, input, index);
  exchange_.finish();
  // The only wait of a step, in two copies: the host must know that loss and gradients are finite before it lets the
  // weights change.
  double mine[2] = {};  // loss_sum_, nonfinite_
  backend_.copy_out(mine, facts_);
  const double sum_squares = exchange_.sum_squares();

  // One small reduction carries the loss, the requests and what the last update left, so that every rank acts on the
  // same facts. Tensor-parallel ranks have the same losses: one of them speaks.
  const Requests asked = input.poll ? input.poll() : Requests{};
  double facts[4] = {grid_.tp_rank() == 0 ? mine[0] : 0.0, asked.stop ? 1.0 : 0.0, asked.save ? 1.0 : 0.0, mine[1]};
  grid_.world().sum(facts);
  if (facts[3] > 0) refuse_nonfinite_state(grid_, params_);

  StepOutput output;
  output.loss = facts[0] / losses();
  output.grad_norm = std::sqrt(sum_squares);
  output.stop = facts[1] > 0;
  output.save = facts[2] > 0 || output.stop;
  output.data_seconds = data_seconds_;
  if (!std::isfinite(output.loss) || !std::isfinite(output.grad_norm)) return refuse_update(output);
  optimizer.step(params_, exchange_.norm_parts(), input.learning_rate, input.newest_learning_rate, nonfinite_);
  exchange_.share_weights();
  return output;
}

void StepRunner::require_finite_state() {
  double mine = 0;
  backend_.copy_out(&mine, nonfinite_);
  if (grid_.world().any(mine > 0)) refuse_nonfinite_state(grid_, params_);
}

StepOutput StepRunner::refuse_update(StepOutput output) {
  const std::string what = fmt::format("loss {} with gradient norm {}: not finite", output.loss, output.grad_norm);
  const std::string where = first_nonfinite_gradient();
  if (safety_.nonfinite == NonfiniteAction::kStop)
    throw Error(ErrorKind::kNumeric, what, where,
                "lower the learning rate, or set safety.nonfinite to skip; the last checkpoint is from before this "
                "step");
  warn("{}; {}; the update is skipped", what, where);
  output.updated = false;
  return output;
}

// The first rank and tensor whose gradient is not finite; the same on every rank.
std::string StepRunner::first_nonfinite_gradient() {
  std::string mine;
  const Buffer buffer = backend_.allocate(size_of(DType::kF64), "the squares of one tensor's gradient");
  const Tensor sum = buffer.tensor(DType::kF64, {1});
  for (const ParamSpec& spec : params_.table()) {
    double value = 0;
    backend_.run(ops::SumSquares{.x = params_.grad(), .ranges = {{spec.offset, spec.local.count()}}, .out = sum});
    backend_.copy_out(&value, sum);
    if (std::isfinite(value)) continue;
    mine = "gradient of " + spec.name;
    break;
  }
  const auto first = first_text(grid_.world().all_gather_text(mine));
  if (!first) return "all gradients are finite";
  return grid_.world().size() == 1 ? first->text : fmt::format("{} on rank {}", first->text, first->rank);
}

}  // namespace nexus
