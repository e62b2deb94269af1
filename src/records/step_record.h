// One optimizer step, as metrics.jsonl has it. Fields have their names in JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "records/record_place.h"

namespace nexus {

struct StepRecord : RecordPlace {
  static constexpr const char* kKind = "step";
  int64_t steps = 0;   // of the stage
  int64_t tokens = 0;  // of the lineage from its very first one, as flops
  double flops = 0, loss = 0, lr = 0, grad_norm = 0;
  double step_ms = 0, data_ms = 0;  // of it, waiting for data
  double tok_per_s = 0;             // of all ranks
  std::optional<double> mfu_pct;    // share of the peak; nothing: that is not known
  std::optional<double> mem_gib;    // in use on rank 0's GPU, by whomever; nothing: ranks compute on hosts
  bool updated = true;              // false: not finite and skipped
};

nlohmann::json to_json(const StepRecord& record);
// Throws ErrorKind::kData naming line and field, where one is missing or of the wrong type.
StepRecord step_from_json(const JsonRecord& line);

// Of a record that may lack everything else; nothing where it does not say.
std::optional<double> step_seconds(const JsonRecord& line);

}  // namespace nexus
