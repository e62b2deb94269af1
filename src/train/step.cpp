#include "train/step.h"

#include <chrono>
#include <cmath>
#include <vector>

#include "core/log.h"
#include "model/dry_run.h"

namespace nexus {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct MicroBatch {
  Tensor tokens, targets, losses;
};

MicroBatch alloc_micro_batch(Arena& arena, int64_t rows, DType compute) {
  return {arena.alloc(DType::kI32, {rows}), arena.alloc(DType::kI32, {rows}), arena.alloc(wide_of(compute), {rows})};
}

// Sum of a loss tensor of the host, in f64 and in index order.
template <typename T>
double sum_of(const std::vector<std::byte>& bytes) {
  const auto* values = reinterpret_cast<const T*>(bytes.data());
  double sum = 0;
  for (size_t i = 0; i < bytes.size() / sizeof(T); ++i) sum += static_cast<double>(values[i]);
  return sum;
}

double host_sum(Backend& backend, const Tensor& losses) {
  std::vector<std::byte> host(static_cast<size_t>(losses.size_bytes()));
  backend.copy_out(host.data(), losses);
  return losses.dtype == DType::kF64 ? sum_of<double>(host) : sum_of<float>(host);
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

StepRunner::StepRunner(Backend& backend, Communicator& dp, Model& model, ParamStore& params, const BatchLayout& layout,
                       const SafetySpec& safety)
    : backend_(backend),
      dp_(dp),
      model_(model),
      params_(params),
      layout_(layout),
      safety_(safety),
      arena_(backend.allocate(arena_bytes(model.config(), params.compute_dtype(), layout))),
      grad_norm_buffer_(backend.allocate(size_of(DType::kF64))),
      host_batch_(host_buffer(2 * layout.micro * layout.context * size_of(DType::kI32))),
      grad_sum_squares_(grad_norm_buffer_.tensor(DType::kF64, {1})) {}

int64_t StepRunner::arena_bytes(const ModelConfig& config, DType compute, const BatchLayout& layout) {
  Arena counting;
  alloc_micro_batch(counting, layout.micro * layout.context, compute);
  return counting.peak_bytes() +
         dry_run(config, compute, layout.micro, layout.context, ModelUse::kTraining).arena_bytes;
}

double StepRunner::micro_batch(const FetchSample& fetch, const StepInput& input, int64_t index) {
  const int64_t context = layout_.context, rows = layout_.micro * context;
  const auto start = std::chrono::steady_clock::now();
  auto* tokens = static_cast<int32_t*>(host_batch_.data());
  for (int64_t row = 0; row < layout_.micro; ++row)
    fetch(layout_.sample(input.first_sample, index, row), tokens + row * context, tokens + rows + row * context);
  data_seconds_ += seconds_since(start);

  const Arena::Frame frame(arena_);
  const MicroBatch batch = alloc_micro_batch(arena_, rows, params_.compute_dtype());
  backend_.copy_in(batch.tokens, tokens);
  backend_.copy_in(batch.targets, tokens + rows);
  Model::GradsReady ready;
  if (index + 1 == layout_.accumulation && dp_.size() > 1)
    ready = [this](int first, int last) { reduce_range(first, last); };
  LayerContext context_of_step{backend_, arena_, params_, layout_.micro, context};
  const auto grad_scale = static_cast<float>(1.0 / static_cast<double>(layout_.tokens()));
  model_.forward_backward(context_of_step, batch.tokens, batch.targets, grad_scale, batch.losses, ready);
  return host_sum(backend_, batch.losses);
}

// The gradients of table entries [first, last) are final: sum them over the ranks while the backward pass goes on.
void StepRunner::reduce_range(int first_param, int last_param) {
  const ParamTable& table = params_.table();
  const int64_t begin = table[first_param].offset;
  const int64_t end = last_param < table.size() ? table[last_param].offset : table.count();
  backend_.synchronize();
  pending_.push_back(dp_.start_all_reduce_sum(params_.grad().flat(begin, end - begin)));
  for (Communicator::Request& request : pending_) request.poke();
}

StepOutput StepRunner::run(const FetchSample& fetch, Optimizer& optimizer, const StepInput& input) {
  data_seconds_ = 0;
  params_.zero_grad();
  double loss_sum = 0;
  for (int64_t index = 0; index < layout_.accumulation; ++index) loss_sum += micro_batch(fetch, input, index);
  for (Communicator::Request& request : pending_) request.wait();
  pending_.clear();

  // One small reduction carries the loss and the requests, so that every rank acts on the same facts.
  const Requests asked = input.poll ? input.poll() : Requests{};
  double facts[3] = {loss_sum, asked.stop ? 1.0 : 0.0, asked.save ? 1.0 : 0.0};
  dp_.all_reduce_sum(Tensor{facts, DType::kF64, {3}});
  backend_.sum_squares(params_.grad(), grad_sum_squares_);
  double sum_squares = 0;
  backend_.copy_out(&sum_squares, grad_sum_squares_);

  StepOutput output;
  output.loss = facts[0] / static_cast<double>(layout_.tokens());
  output.grad_norm = std::sqrt(sum_squares);
  output.stop = facts[1] > 0;
  output.save = facts[2] > 0 || output.stop;
  output.data_seconds = data_seconds_;
  if (!std::isfinite(output.loss) || !std::isfinite(output.grad_norm)) {
    const std::string what = fmt::format("loss {} with gradient norm {}: not finite", output.loss, output.grad_norm);
    if (safety_.nonfinite == NonfiniteAction::kStop)
      throw Error(
          ErrorKind::kNumeric, what, blame(),
          "lower the learning rate, or set safety.nonfinite to skip; the last checkpoint is from before this step");
    warn("{}; {}; the update is skipped", what, blame());
    output.updated = false;
    return output;
  }
  optimizer.step(params_, grad_sum_squares_, input.learning_rate, input.newest_learning_rate);
  return output;
}

// The first tensor whose gradient is not finite.
std::string StepRunner::blame() const {
  double value = 0;
  for (int index = 0; index < params_.table().size(); ++index) {
    const Tensor grad = params_.grad(index);
    backend_.sum_squares(grad.flat(0, grad.count()), grad_sum_squares_);
    backend_.copy_out(&value, grad_sum_squares_);
    if (!std::isfinite(value)) return "gradient of " + params_.table()[index].name;
  }
  return "all gradients are finite";
}

}  // namespace nexus
