// The mean loss over the validation windows, whose exponential is the perplexity, and the same in bits per byte of
// text.
#include <numbers>

#include "train/evaluation.h"

namespace nexus {
namespace {

double mean(std::span<const double> losses) {
  double sum = 0;
  for (const double loss : losses) sum += loss;
  return sum / static_cast<double>(losses.size());
}

std::optional<std::vector<Figure>> run(const EvalContext& context) {
  const std::optional<Figure> loss = mean_over_windows(context, kLossFigure, "nats/token", mean);
  if (!loss) return std::nullopt;
  std::vector<Figure> figures{*loss};
  if (const double bytes = context.windows.bytes_per_token().value_or(0.0); bytes > 0) {
    const auto of_bytes = [bytes](double nats) { return nats / std::numbers::ln2 / bytes; };
    figures.push_back({kBitsPerByteFigure, "bits/byte", of_bytes(loss->value), of_bytes(loss->se), loss->count});
  }
  return figures;
}

}  // namespace

const Evaluation& validation_loss() {
  static const Evaluation evaluation{"validation_loss", [](EvalEvent) { return true; }, run};
  return evaluation;
}

}  // namespace nexus
