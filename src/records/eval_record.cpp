#include "records/eval_record.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <string>

#include "core/error.h"
#include "records/fields.h"

namespace nexus {
namespace {

constexpr auto kEvalFields = [](auto& fields, auto& r) {
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

constexpr auto kFigureFields = [](auto& fields, auto& f) {
  fields.field("name", f.name);
  fields.field("unit", f.unit);
  fields.field("value", f.value);
  fields.field("se", f.se);
  fields.field("count", f.count);
};

// To seven digits, as many as a computation in f32 has: a number of a window needs eight bytes, not eighteen.
double rounded(double value) {
  return std::isfinite(value) && value != 0 ? std::stod(fmt::format("{:.7g}", value)) : value;
}

}  // namespace

void EvalRecord::add(const Figure& figure) {
  if (figure.name == kLossFigure) {
    loss = figure.value;
    loss_se = figure.se;
    windows = figure.count;
    window_losses = figure.of_samples;
  } else if (figure.name == kBitsPerByteFigure) {
    bits_per_byte = figure.value;
  } else {
    figures.push_back(figure);
  }
}

const Figure* EvalRecord::find(const std::string& name) const {
  for (const Figure& figure : figures)
    if (figure.name == name) return &figure;
  return nullptr;
}

nlohmann::json to_json(const EvalRecord& record, const WorkloadWords& words) {
  nlohmann::json document = write_record(record, kEvalFields);
  document[words.symbol()] = words.value(record.loss);
  document["context"] = record.context();
  for (const double value : record.window_losses) document["window_losses"].push_back(rounded(value));
  for (const Figure& figure : record.figures) {
    nlohmann::json& entry = document["figures"].emplace_back(nlohmann::json::object());
    FieldWriter fields(entry);
    kFigureFields(fields, figure);
  }
  return document;
}

EvalRecord eval_from_json(const JsonRecord& line) {
  auto record = read_record<EvalRecord>(line, kEvalFields);
  // An older nexus said 0 of one window.
  record.loss_se = record.windows > 1 ? line.number("loss_se") : std::numeric_limits<double>::quiet_NaN();
  if (line.has("window_losses")) record.window_losses = line.numbers("window_losses");
  if (!line.has("figures")) return record;  // there are none, or an older nexus wrote it
  if (!line.value().at("figures").is_array())
    throw Error(ErrorKind::kData, "malformed record: its figures are no list", line.where());
  for (const nlohmann::json& entry : line.value().at("figures")) {
    const JsonRecord of_entry(entry, line.where());
    FieldReader fields(of_entry);
    kFigureFields(fields, record.figures.emplace_back());
  }
  return record;
}

}  // namespace nexus
