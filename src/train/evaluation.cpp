#include "train/evaluation.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "comm/progress.h"
#include "layers/device_batch.h"

namespace nexus {
namespace {

// Figures of the samples `indices`, one after another.
std::vector<double> figures_of(const EvalContext& eval, const std::vector<int64_t>& indices) {
  const auto batch = static_cast<int64_t>(indices.size());
  const BatchFields fields = eval.model.batch_fields(eval.context);
  const HostBatch host(fields, batch);
  for (int64_t row = 0; row < batch; ++row) eval.valid.fetch(indices[static_cast<size_t>(row)], host.batch(), row);
  const Arena::Frame frame(eval.arena);
  const Batch samples = alloc_batch(eval.arena, fields, batch);
  const Tensor figures =
      eval.arena.alloc(eval.params.wide_dtype(), {batch, eval.model.output().figures_per_sample(eval.context)});
  copy_in(eval.backend, host.batch(), samples);
  const LayerContext ctx{eval.backend, eval.arena,        eval.params,    batch,
                         eval.context, Pass::kEvaluation, &eval.grid.tp()};
  eval.model.evaluate(ctx, samples, figures);
  const Buffer out = host_buffer(figures.size_bytes());
  eval.backend.copy_out(out.data(), figures);
  if (figures.dtype == DType::kF64) {
    const auto* values = static_cast<const double*>(out.data());
    return {values, values + figures.count()};
  }
  const auto* values = static_cast<const float*>(out.data());
  return {values, values + figures.count()};
}

}  // namespace

std::optional<SampleMean> mean_over_samples(const EvalContext& eval, const std::string& name, const std::string& unit,
                                            const std::function<double(std::span<const double>)>& of_sample) {
  const int64_t available = eval.valid.count();
  const int64_t wanted =
      eval.max_tokens > 0 ? std::clamp<int64_t>(eval.max_tokens / eval.context, 1, available) : available;
  const OutputLayer& output = eval.model.output();
  const auto losses = static_cast<size_t>(output.losses_per_sample(eval.context)),
             figures = static_cast<size_t>(output.figures_per_sample(eval.context));
  // Of the samples' numbers, of their squares, of figures beside losses; then the samples' numbers themselves.
  const size_t numbers = 2 + figures - losses;
  std::vector<double> sums(numbers + static_cast<size_t>(wanted));
  const int64_t dp = eval.grid.dp_size();
  for (int64_t first = 0; first < wanted; first += eval.micro * dp) {  // every rank takes part in every round
    std::vector<int64_t> indices;
    const int64_t mine = first + eval.grid.dp_rank();
    for (int64_t i = mine; i < std::min(first + eval.micro * dp, wanted); i += dp)
      indices.push_back(i * available / wanted);
    const std::vector<double> values = indices.empty() ? std::vector<double>{} : figures_of(eval, indices);
    for (size_t begin = 0; begin < values.size(); begin += figures) {
      const double value = of_sample({values.data() + begin, losses});
      sums[0] += value;
      sums[1] += value * value;
      sums[numbers + static_cast<size_t>(mine) + begin / figures * static_cast<size_t>(dp)] = value;
      for (size_t i = losses; i < figures; ++i) sums[2 + i - losses] += values[begin + i];
    }
    progress::tick();
    if (eval.grid.world().any(eval.must_stop())) return std::nullopt;
  }
  eval.grid.dp().sum(sums);

  const auto n = static_cast<double>(wanted);
  const double mean = sums[0] / n;
  double se = std::numeric_limits<double>::quiet_NaN();
  if (wanted > 1) se = std::sqrt(std::max(0.0, (sums[1] - n * mean * mean) / (n - 1)) / n);
  const auto samples = sums.begin() + static_cast<std::ptrdiff_t>(numbers);
  return SampleMean{{name, unit, mean, se, wanted, {samples, sums.end()}}, {sums.begin() + 2, samples}};
}

}  // namespace nexus
