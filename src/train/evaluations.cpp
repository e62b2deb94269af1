// The registry of evaluations: a file in evaluations/, and a line here.
#include <algorithm>

#include "core/error.h"
#include "system/clock.h"
#include "train/evaluation.h"

namespace nexus {

const Evaluation& validation_loss();

const std::vector<const Evaluation*>& all_evaluations() {
  static const std::vector<const Evaluation*> all = {&validation_loss()};
  return all;
}

const char* name_of(EvalEvent event) {
  switch (event) {
    case EvalEvent::kStart: return "start";
    case EvalEvent::kAfterGrowth: return "after_growth";
    case EvalEvent::kPeriodic: return "periodic";
    case EvalEvent::kEnd: return "end";
  }
  NX_CHECK(false, "unknown event");
  return "";
}

std::optional<EvalRecord> run_evaluations(const EvalContext& context, const EvalSpec& spec, EvalEvent event) {
  const double start = steady_seconds();
  EvalRecord record;
  record.event = name_of(event);
  for (const Evaluation* evaluation : all_evaluations()) {
    const bool is_named =
        std::find(spec.evaluations.begin(), spec.evaluations.end(), evaluation->name) != spec.evaluations.end();
    if ((!is_named && evaluation != &validation_loss()) || !evaluation->is_due(event)) continue;
    const std::optional<std::vector<Figure>> figures = evaluation->run(context);
    if (!figures) return std::nullopt;
    for (const Figure& figure : *figures) record.add(figure);
  }
  if (event != EvalEvent::kEnd) record.window_losses.clear();
  record.eval_tokens = record.windows * context.context;
  record.seconds = steady_seconds() - start;
  return record;
}

}  // namespace nexus
