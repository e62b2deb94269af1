#include "train/evaluate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "comm/progress.h"
#include "layers/device_batch.h"
#include "system/clock.h"

namespace nexus {
namespace {

// Means of the windows `indices`, in order.
std::vector<double> window_losses(Backend& backend, ProcessGrid& grid, Arena& arena, Model& model, ParamStore& params,
                                  const EvalWindows& windows, const std::vector<int64_t>& indices) {
  const int64_t context = windows.context(), batch = static_cast<int64_t>(indices.size());
  const BatchFields fields = model.batch_fields(context);
  const HostBatch host(fields, batch);
  for (int64_t row = 0; row < batch; ++row) windows.fetch(indices[static_cast<size_t>(row)], host.batch(), row);
  const Arena::Frame frame(arena);
  const Batch samples = alloc_batch(arena, fields, batch);
  const Tensor losses = arena.alloc(params.wide_dtype(), {batch, context});
  copy_in(backend, host.batch(), samples);
  const LayerContext ctx{backend, arena, params, batch, context, Pass::kEvaluation, &grid.tp()};
  model.evaluate(ctx, samples, losses);
  const Buffer out = host_buffer(losses.size_bytes());
  backend.copy_out(out.data(), losses);
  std::vector<double> means;
  for (int64_t row = 0; row < batch; ++row) {
    double sum = 0;
    for (int64_t t = row * context; t < (row + 1) * context; ++t)
      sum += losses.dtype == DType::kF64 ? static_cast<const double*>(out.data())[t]
                                         : static_cast<const float*>(out.data())[t];
    means.push_back(sum / static_cast<double>(context));
  }
  return means;
}

}  // namespace

std::optional<EvalRecord> evaluate(Backend& backend, ProcessGrid& grid, Arena& arena, Model& model, ParamStore& params,
                                   const EvalWindows& windows, int64_t micro, int64_t max_tokens,
                                   const std::function<bool()>& stop) {
  const double start = steady_seconds();
  const int64_t context = windows.context(), available = windows.count();
  const int64_t wanted = max_tokens > 0 ? std::clamp<int64_t>(max_tokens / context, 1, available) : available;
  double sums[2] = {0, 0};  // of the window means and of their squares
  const int64_t dp = grid.dp_size();
  for (int64_t first = 0; first < wanted; first += micro * dp) {  // every rank takes part in every round
    std::vector<int64_t> indices;
    for (int64_t i = first + grid.dp_rank(); i < std::min(first + micro * dp, wanted); i += dp)
      indices.push_back(i * available / wanted);
    if (!indices.empty()) {
      for (const double mean : window_losses(backend, grid, arena, model, params, windows, indices)) {
        sums[0] += mean;
        sums[1] += mean * mean;
      }
    }
    progress::tick();
    if (grid.world().any(stop())) return std::nullopt;
  }
  grid.dp().sum(sums);

  EvalRecord record;
  const auto n = static_cast<double>(wanted);
  record.loss = sums[0] / n;
  record.loss_se = std::numeric_limits<double>::quiet_NaN();
  if (wanted > 1) record.loss_se = std::sqrt(std::max(0.0, (sums[1] - n * record.loss * record.loss) / (n - 1)) / n);
  record.windows = wanted;
  record.eval_tokens = wanted * context;
  record.seconds = steady_seconds() - start;
  return record;
}

}  // namespace nexus
