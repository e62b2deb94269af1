// The mean loss over the validation samples, and what the workload makes of it and of the other figures of its output
// layer: of text the loss in bits per byte.
#include "train/evaluation.h"

namespace nexus {
namespace {

double mean(std::span<const double> losses) {
  double sum = 0;
  for (const double loss : losses) sum += loss;
  return sum / static_cast<double>(losses.size());
}

std::optional<std::vector<Figure>> run(const EvalContext& context) {
  const Workload& kind = workload(context.model.config().workload);
  const std::optional<SampleMean> loss = mean_over_samples(context, kLossFigure, kind.words().loss_unit, mean);
  if (!loss) return std::nullopt;
  std::vector<Figure> figures{loss->mean};
  for (Figure& figure : kind.metrics(context.valid, loss->mean, loss->sums)) figures.push_back(std::move(figure));
  return figures;
}

}  // namespace

const Evaluation& validation_loss() {
  static const Evaluation evaluation{"validation_loss", [](EvalEvent) { return true; }, run};
  return evaluation;
}

}  // namespace nexus
