#include "records/workload_words.h"

#include <fmt/format.h>

#include <cmath>
#include <tuple>

#include "records/fields.h"

namespace nexus {
namespace {

constexpr auto kFields = [](auto& fields, auto& w) {
  fields.field("name", w.name);
  fields.field("unit", w.unit);
  fields.field("short_unit", w.short_unit);
  fields.field("samples", w.samples);
  fields.field("loss_unit", w.loss_unit);
  fields.field("headline", w.headline);
};

std::string singular(const std::string& plural) {
  return plural.ends_with('s') ? plural.substr(0, plural.size() - 1) : plural;
}

}  // namespace

double WorkloadWords::value(double loss) const {
  return has_perplexity() ? std::exp(loss) : loss;
}
double WorkloadWords::error(double loss, double loss_se) const {
  return has_perplexity() ? std::exp(loss) * loss_se : loss_se;
}

std::string WorkloadWords::one_unit() const {
  return singular(unit);
}
std::string WorkloadWords::one_sample() const {
  return singular(samples);
}

std::string WorkloadWords::loss_unit_in_words() const {
  const size_t slash = loss_unit.find('/');
  return slash == loss_unit.npos ? loss_unit : loss_unit.substr(0, slash) + " per " + loss_unit.substr(slash + 1);
}
std::string WorkloadWords::loss_thousandths() const {
  return "thousandths of a " + singular(loss_unit.substr(0, loss_unit.find('/')));
}

// Nats are of the order of one; a loss of another unit may be of any.
std::string WorkloadWords::loss_text(double loss) const {
  return has_perplexity() ? fmt::format("{:.4f}", loss) : fmt::format("{:.4g}", loss);
}

bool WorkloadWords::measures_as(const WorkloadWords& other) const {
  const auto measure = [](const WorkloadWords& w) { return std::tie(w.name, w.unit, w.loss_unit, w.headline); };
  return measure(*this) == measure(other);
}

nlohmann::json to_json(const WorkloadWords& words) {
  nlohmann::json document;
  FieldWriter fields(document);
  kFields(fields, words);
  return document;
}

WorkloadWords words_from_json(const JsonRecord& document) {
  auto words = read_record<WorkloadWords>(document, kFields);
  if (!words.has_perplexity()) words.headline = WorkloadWords::kLoss;  // a later nexus may make others of it
  return words;
}

}  // namespace nexus
