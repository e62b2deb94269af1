#include "records/scalars.h"

#include <cmath>

namespace nexus {
namespace {

void add(Scalars& scalars, const std::string& name, double value) {
  if (std::isfinite(value)) scalars.emplace_back(name, value);
}

}  // namespace

Scalars scalars_of(const StepRecord& record) {
  Scalars scalars;
  add(scalars, "loss", record.loss);
  add(scalars, "lr", record.lr);
  add(scalars, "grad_norm", record.grad_norm);
  add(scalars, "flops", record.flops);
  add(scalars, "step_ms", record.step_ms);
  add(scalars, "data_ms", record.data_ms);
  add(scalars, "tok_per_s", record.tok_per_s);
  if (record.mfu_pct) add(scalars, "mfu_pct", *record.mfu_pct);
  if (record.mem_gib) add(scalars, "mem_gib", *record.mem_gib);
  return scalars;
}

Scalars scalars_of(const EvalRecord& record, const WorkloadWords& words) {
  Scalars scalars;
  add(scalars, "eval/loss", record.loss);
  if (words.has_perplexity()) add(scalars, "eval/" + words.symbol(), words.value(record.loss));
  if (record.bits_per_byte) add(scalars, "eval/bits_per_byte", *record.bits_per_byte);
  for (const Figure& figure : record.figures) add(scalars, "eval/" + figure.name, figure.value);
  return scalars;
}

}  // namespace nexus
