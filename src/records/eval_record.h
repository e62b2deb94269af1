// One evaluation on the validation windows, as eval.jsonl has it. Fields have their names in JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "records/record_place.h"

namespace nexus {

struct EvalRecord : RecordPlace {
  static constexpr const char* kKind = "eval";
  int64_t steps = 0;   // of the stage
  int64_t tokens = 0;  // trained on, of the lineage from its very first one, as flops
  double flops = 0;
  std::string flops_def, event;  // event: start, periodic, end, before_growth, after_growth
  double loss = 0;               // nats per token, mean over windows
  double loss_se = 0;            // standard error of that mean; NaN where there is one window, which has none
  int64_t windows = 0, eval_tokens = 0;
  std::optional<double> bits_per_byte;  // nothing: the file does not say how many bytes its text has
  double seconds = 0;
  // What it is over: figures over other tokens do not compare. Empty where an older nexus wrote the record.
  std::string valid_digest, valid_type, tokenizer_digest;

  double ppl() const;
  double ppl_se() const;  // delta method: ppl * loss_se
  int64_t context() const { return windows > 0 ? eval_tokens / windows : 0; }
};

nlohmann::json to_json(const EvalRecord& record);  // with ppl and context
// Throws ErrorKind::kData naming line and field, where one is missing or of the wrong type.
EvalRecord eval_from_json(const JsonRecord& line);

}  // namespace nexus
