// What a run counts and measures, in the words of its workload (model/workload.h), as run.json has them.
//
// Keys of JSON do not follow the workload: `tokens` (tokens_per_second, ...) are positions, in `unit`, and `windows`
// samples, whatever these are called.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "records/json_lines.h"

namespace nexus {

// Of text unless told otherwise: a nexus that knew nothing else wrote no words.
struct WorkloadWords {
  static constexpr const char *kLoss = "loss", *kPerplexity = "perplexity";

  std::string name = "text";
  std::string unit = "tokens", short_unit = "tok";  // of a position: a plural in -s; and in rates
  std::string samples = "windows";                  // what an evaluation is the mean over: a plural in -s
  std::string loss_unit = "nats/token";
  std::string headline = kPerplexity;  // the figure that people read first: the loss, or its perplexity exp(loss)

  bool has_perplexity() const { return headline == kPerplexity; }
  std::string symbol() const { return has_perplexity() ? "ppl" : kLoss; }
  // Of the headline, by the loss and its standard error (delta method).
  double value(double loss) const;
  double error(double loss, double loss_se) const;

  std::string one_unit() const;            // "token"
  std::string one_sample() const;          // "window"
  std::string loss_unit_in_words() const;  // "nats per token"
  std::string loss_thousandths() const;    // "thousandths of a nat"
  std::string loss_text(double loss) const;
  // Whether figures of both compare, as far as words tell.
  bool measures_as(const WorkloadWords& other) const;
};

nlohmann::json to_json(const WorkloadWords& words);
// Throws ErrorKind::kData where a field is missing or of the wrong type.
WorkloadWords words_from_json(const JsonRecord& document);

}  // namespace nexus
