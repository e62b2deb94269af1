// The numbers of a record by name, for other programs' curves: TensorBoard's tags, columns of CSV, Prometheus's
// metrics.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "records/eval_record.h"
#include "records/step_record.h"

namespace nexus {

// (name, value): names are those of metrics.jsonl ("loss", "lr", "tok_per_s") and, of evaluations, those of eval.jsonl
// behind "eval/" ("eval/loss", "eval/ppl", and further figures by theirs). Places and counts (step, tokens, windows)
// are not among them, nor is what is not finite or not told.
using Scalars = std::vector<std::pair<std::string, double>>;

Scalars scalars_of(const StepRecord& record);
Scalars scalars_of(const EvalRecord& record, const WorkloadWords& words);

}  // namespace nexus
