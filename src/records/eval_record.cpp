#include "records/eval_record.h"

#include <cmath>
#include <limits>

#include "records/fields.h"

namespace nexus {
namespace {

constexpr auto kFields = [](auto& fields, auto& r) {
  list_place(fields, r);
  fields.field("steps", r.steps);
  fields.field("tokens", r.tokens);
  fields.field("flops", r.flops);
  fields.field("flops_def", r.flops_def);
  fields.field("event", r.event);
  fields.field("loss", r.loss);
  fields.newer("loss_se", r.loss_se);
  fields.field("windows", r.windows);
  fields.or_null("bits_per_byte", r.bits_per_byte);
  fields.field("eval_tokens", r.eval_tokens);
  fields.newer("seconds", r.seconds);
  fields.optional("valid_digest", r.valid_digest);
  fields.optional("valid_type", r.valid_type);
  fields.optional("tokenizer_digest", r.tokenizer_digest);
};

}  // namespace

double EvalRecord::ppl() const {
  return std::exp(loss);
}
double EvalRecord::ppl_se() const {
  return ppl() * loss_se;
}

nlohmann::json to_json(const EvalRecord& record) {
  nlohmann::json document = write_record(record, kFields);
  document["ppl"] = record.ppl();
  document["context"] = record.context();
  return document;
}

EvalRecord eval_from_json(const JsonRecord& line) {
  auto record = read_record<EvalRecord>(line, kFields);
  // An older nexus said 0 of one window.
  record.loss_se = record.windows > 1 ? line.number("loss_se") : std::numeric_limits<double>::quiet_NaN();
  return record;
}

}  // namespace nexus
