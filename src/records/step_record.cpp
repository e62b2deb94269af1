#include "records/step_record.h"

#include "records/fields.h"

namespace nexus {
namespace {

constexpr const char* kStepMs = "step_ms";

constexpr auto kStepFields = [](auto& fields, auto& r) {
  list_place(fields, r);
  fields.newer("steps", r.steps);
  fields.field("tokens", r.tokens);
  fields.field("flops", r.flops);
  fields.field("loss", r.loss);
  fields.field("lr", r.lr);
  fields.field("grad_norm", r.grad_norm);
  fields.field(kStepMs, r.step_ms);
  fields.newer("data_ms", r.data_ms);
  fields.field("tok_per_s", r.tok_per_s);
  fields.optional("mfu_pct", r.mfu_pct);
  fields.optional("mem_gib", r.mem_gib);
  fields.unless_true("updated", r.updated);
};

}  // namespace

nlohmann::json to_json(const StepRecord& record) {
  return write_record(record, kStepFields);
}

StepRecord step_from_json(const JsonRecord& line) {
  return read_record<StepRecord>(line, kStepFields);
}

std::optional<double> step_seconds(const JsonRecord& line) {
  const auto found = line.value().find(kStepMs);
  if (found == line.value().end() || !found->is_number()) return std::nullopt;
  return found->get<double>() / 1e3;
}

}  // namespace nexus
