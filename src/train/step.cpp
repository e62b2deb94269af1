#include "train/step.h"

#include <cmath>
#include <vector>

#include "comm/progress.h"
#include "core/log.h"
#include "model/dry_run.h"
#include "system/clock.h"
#include "train/finite_state.h"
#include "train/memory_advice.h"

namespace nexus {
namespace {

struct MicroBatch {
  Tensor tokens, targets, losses;
};

MicroBatch alloc_micro_batch(Arena& arena, int64_t rows, DType compute) {
  return {arena.alloc(DType::kI32, {rows}), arena.alloc(DType::kI32, {rows}), arena.alloc(wide_of(compute), {rows})};
}

}  // namespace

BatchLayout make_batch_layout(const BatchSpec& batch, int64_t context, int dp_rank, int dp_size) {
  const int64_t pass_tokens = context * batch.micro * dp_size;
  if (pass_tokens <= 0 || batch.global_tokens % pass_tokens != 0 || batch.global_tokens == 0) {
    const int64_t below = pass_tokens > 0 ? batch.global_tokens / pass_tokens * pass_tokens : 0;
    throw Error(ErrorKind::kConfig,
                fmt::format("{} tokens per step do not divide into context {} x micro {} x dp {} = {}",
                            batch.global_tokens, context, batch.micro, dp_size, pass_tokens),
                "batch.global_tokens",
                fmt::format("use {}{}, or change batch.micro", below > 0 ? fmt::format("{} or ", below) : "",
                            below + pass_tokens));
  }
  return {context, batch.micro, batch.global_tokens / pass_tokens, dp_rank, dp_size};
}

StepRunner::StepRunner(Backend& backend, ProcessGrid& grid, Model& model, ParamStore& params, const BatchLayout& layout,
                       const SafetySpec& safety, const StepOptions& options)
    : backend_(backend),
      grid_(grid),
      model_(model),
      params_(params),
      layout_(layout),
      safety_(safety),
      recompute_(options.recompute),
      arena_(allocate_activations(
          backend, {model.config(), params.compute_dtype(), layout, params.table().sharding(), options})),
      host_batch_(host_buffer(2 * layout.micro * layout.context * size_of(DType::kI32))),
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
  alloc_micro_batch(counting, layout.micro * layout.context, compute);
  return counting.peak_bytes() +
         dry_run(config, compute, layout.micro, layout.context, ModelUse::kTraining, sharding, recompute).arena_bytes;
}

void StepRunner::micro_batch(const FetchSample& fetch, const StepInput& input, int64_t index) {
  const int64_t context = layout_.context, rows = layout_.micro * context;
  const double start = steady_seconds();
  auto* tokens = static_cast<int32_t*>(host_batch_.data());
  for (int64_t row = 0; row < layout_.micro; ++row)
    fetch(layout_.sample(input.first_sample, index, row), tokens + row * context, tokens + rows + row * context);
  data_seconds_ += steady_seconds() - start;

  const Arena::Frame frame(arena_);
  const MicroBatch batch = alloc_micro_batch(arena_, rows, params_.compute_dtype());
  backend_.copy_in(batch.tokens, tokens);
  backend_.copy_in(batch.targets, tokens + rows);
  Model::GradsReady ready;
  if (index + 1 == layout_.accumulation) ready = [this](int bucket) { exchange_.start(bucket); };
  const LayerContext ctx{backend_, arena_, params_, layout_.micro, context, Pass::kTraining, &grid_.tp(), recompute_};
  const double grad_scale = 1.0 / static_cast<double>(layout_.tokens());
  model_.forward_backward(ctx, batch.tokens, batch.targets, grad_scale, batch.losses, ready);
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
  output.loss = facts[0] / static_cast<double>(layout_.tokens());
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
  const std::string where = blame();
  if (safety_.nonfinite == NonfiniteAction::kStop)
    throw Error(ErrorKind::kNumeric, what, where,
                "lower the learning rate, or set safety.nonfinite to skip; the last checkpoint is from before this "
                "step");
  warn("{}; {}; the update is skipped", what, where);
  output.updated = false;
  return output;
}

// The first rank and tensor whose gradient is not finite; the same on every rank.
std::string StepRunner::blame() {
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
  const std::vector<std::string> all = grid_.world().all_gather_text(mine);
  for (size_t rank = 0; rank < all.size(); ++rank)
    if (!all[rank].empty()) return all.size() == 1 ? all[rank] : fmt::format("{} on rank {}", all[rank], rank);
  return "all gradients are finite";
}

}  // namespace nexus
