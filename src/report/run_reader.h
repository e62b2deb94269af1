// A run folder (core/run_folder.h) as typed records, the resume rule applied. The only door between `report` and a run.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "records/eval_record.h"
#include "records/ledger_record.h"
#include "records/step_record.h"

namespace nexus {

// Everything of one run. Rows are in the order in which they happened; `stages`, `growths` and `commits` hold one row
// per stage (the last that was written), by stage_index.
struct RunHistory {
  std::string folder, name, arch, status;
  nlohmann::json facts;  // run.json
  WorkloadWords words;
  std::vector<StepRecord> steps;
  std::vector<EvalRecord> evals;
  std::vector<StageRecord> stages;
  std::vector<GrowthRecord> growths;
  std::vector<CommitRecord> commits;
  bool done = false;

  const GrowthRecord* growth_into(int64_t stage_index) const;
  const CommitRecord* account_of(int64_t stage_index) const;
  // The last evaluation of `event` that belongs to the growth into `stage_index` (before_growth, after_growth).
  const EvalRecord* growth_eval(int64_t stage_index, const std::string& event) const;
  const EvalRecord* first_eval(int64_t stage_index) const;
  // The last evaluation of the stage that growth did not cause; nothing before its first one.
  const EvalRecord* last_eval(int64_t stage_index) const;
};

// Throws ErrorKind::kData where `folder` is no run folder or holds malformed records ("file:line" in the error).
RunHistory read_run(const std::string& folder);

}  // namespace nexus
