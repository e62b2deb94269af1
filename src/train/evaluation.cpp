#include "train/evaluation.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "comm/progress.h"
#include "layers/device_batch.h"

namespace nexus {
namespace {

// Losses of the windows `indices`, one after another.
std::vector<double> losses_of(const EvalContext& eval, const std::vector<int64_t>& indices) {
  const int64_t context = eval.windows.context(), batch = static_cast<int64_t>(indices.size()), rows = batch * context;
  const BatchFields fields = eval.model.batch_fields(context);
  const HostBatch host(fields, batch);
  for (int64_t row = 0; row < batch; ++row) eval.windows.fetch(indices[static_cast<size_t>(row)], host.batch(), row);
  const Arena::Frame frame(eval.arena);
  const Batch samples = alloc_batch(eval.arena, fields, batch);
  const Tensor losses = eval.arena.alloc(eval.params.wide_dtype(), {batch, context});
  copy_in(eval.backend, host.batch(), samples);
  const LayerContext ctx{eval.backend, eval.arena, eval.params, batch, context, Pass::kEvaluation, &eval.grid.tp()};
  eval.model.evaluate(ctx, samples, losses);
  const Buffer out = host_buffer(losses.size_bytes());
  eval.backend.copy_out(out.data(), losses);
  if (losses.dtype == DType::kF64) {
    const auto* values = static_cast<const double*>(out.data());
    return {values, values + rows};
  }
  const auto* values = static_cast<const float*>(out.data());
  return {values, values + rows};
}

}  // namespace

std::optional<Figure> mean_over_windows(const EvalContext& eval, const std::string& name, const std::string& unit,
                                        const std::function<double(std::span<const double>)>& of_window) {
  const int64_t context = eval.windows.context(), available = eval.windows.count();
  const int64_t wanted = eval.max_tokens > 0 ? std::clamp<int64_t>(eval.max_tokens / context, 1, available) : available;
  double sums[2] = {0, 0};  // of the windows' numbers and of their squares
  const int64_t dp = eval.grid.dp_size();
  for (int64_t first = 0; first < wanted; first += eval.micro * dp) {  // every rank takes part in every round
    std::vector<int64_t> indices;
    for (int64_t i = first + eval.grid.dp_rank(); i < std::min(first + eval.micro * dp, wanted); i += dp)
      indices.push_back(i * available / wanted);
    if (!indices.empty()) {
      const std::vector<double> losses = losses_of(eval, indices);
      for (size_t row = 0; row < indices.size(); ++row) {
        const double value =
            of_window({losses.data() + row * static_cast<size_t>(context), static_cast<size_t>(context)});
        sums[0] += value;
        sums[1] += value * value;
      }
    }
    progress::tick();
    if (eval.grid.world().any(eval.must_stop())) return std::nullopt;
  }
  eval.grid.dp().sum(sums);

  const auto n = static_cast<double>(wanted);
  const double mean = sums[0] / n;
  double se = std::numeric_limits<double>::quiet_NaN();
  if (wanted > 1) se = std::sqrt(std::max(0.0, (sums[1] - n * mean * mean) / (n - 1)) / n);
  return Figure{name, unit, mean, se, wanted};
}

}  // namespace nexus
