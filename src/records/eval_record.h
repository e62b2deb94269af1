// What was evaluated at one moment of a stage, as eval.jsonl has it. Fields have their names in JSON.
#pragma once

#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "records/record_place.h"
#include "records/workload_words.h"

namespace nexus {

// One number of an evaluation (train/evaluation.h).
struct Figure {
  std::string name;  // a word, by which reports find it again: "late_loss"
  std::string unit;  // "nats/token"; "": it has none
  double value = 0;
  double se = std::numeric_limits<double>::quiet_NaN();  // standard error; NaN: there is none
  int64_t count = 0;                 // that it is the mean of (windows, questions); 0: it is no mean
  std::vector<double> of_samples{};  // what it is the mean of; empty: not told
};

// The figures of the validation loss, which have fields of their own.
inline constexpr const char kLossFigure[] = "loss", kBitsPerByteFigure[] = "bits_per_byte";

struct EvalRecord : RecordPlace {
  static constexpr const char* kKind = "eval";
  int64_t steps = 0;   // of the stage
  int64_t tokens = 0;  // trained on, of the lineage from its very first one, as flops
  double flops = 0;
  std::string flops_def, event;          // event: start, periodic, end, before_growth, after_growth
  double loss = 0;                       // in the workload's unit, mean over windows
  double loss_se = 0;                    // standard error of that mean; NaN where there is one window, which has none
  int64_t windows = 0, eval_tokens = 0;  // samples and positions that it is over, by whatever name
  std::optional<double> bits_per_byte;   // nothing: the file does not say how many bytes its text has
  // Of each window, in the order of the set; at the end of a stage alone, for reports that pair runs window by window.
  std::vector<double> window_losses;
  std::vector<Figure> figures;  // of all other evaluations
  double seconds = 0;
  // What it is over: figures over other tokens do not compare. Empty where an older nexus wrote the record.
  std::string valid_digest, valid_type, tokenizer_digest;

  void add(const Figure& figure);
  const Figure* find(const std::string& name) const;  // of `figures`; nullptr: it has none of the name
  int64_t context() const { return windows > 0 ? eval_tokens / windows : 0; }
};

// With context and, by `words`, the headline.
nlohmann::json to_json(const EvalRecord& record, const WorkloadWords& words = {});
// Throws ErrorKind::kData naming line and field, where one is missing or of the wrong type.
EvalRecord eval_from_json(const JsonRecord& line);

}  // namespace nexus
