// What ledger.jsonl tells of a run's course: stages, growths, commits, and what launches did. Fields have their names
// in JSON. `begin` and `resume`, which say where a launch goes on, also decide what counts (records/json_lines.h).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "records/launch_mark.h"
#include "records/record_place.h"

namespace nexus {

// A stage begins, or goes on by a changed plan.
struct StageRecord : RecordPlace {
  static constexpr const char* kKind = "stage";
  std::string arch, flops_def;
  int64_t params = 0, tokens_planned = 0, steps = 0, ranks = 0;
  double flops_per_token = 0;
  nlohmann::json model = nlohmann::json::object();  // ModelConfig; {} where it is not told
};

struct GrowthRecord : RecordPlace {
  static constexpr const char* kKind = "growth";
  std::string from_stage, init, moments;
  int64_t params_before = 0, params_after = 0, new_params = 0, dead_new_params = 0, unmoved_new_params = 0;
  double max_abs_dlogit = 0, rel_dlogit = 0, dloss = 0;
  std::vector<std::string> dead_blocks;
};

// The last of a stage is the stage's account. total_* count from the lineage's very first token.
struct CommitRecord : RecordPlace {
  static constexpr const char* kKind = "commit";
  int64_t steps = 0, stage_tokens = 0, total_tokens = 0, inherited_tokens = 0;
  double stage_flops = 0, stage_seconds = 0, stage_rank_seconds = 0, total_flops = 0, inherited_flops = 0;
  std::string path;  // of the checkpoint, below the run folder
};

// Each reader throws ErrorKind::kData naming line and field, where one is missing or of the wrong type.
nlohmann::json to_json(const StageRecord& record);
StageRecord stage_from_json(const JsonRecord& line);
nlohmann::json to_json(const GrowthRecord& record);
GrowthRecord growth_from_json(const JsonRecord& line);
nlohmann::json to_json(const CommitRecord& record);
CommitRecord commit_from_json(const JsonRecord& line);

// A launch starts without a past; one goes on from a commit (written into all three files).
nlohmann::json begin_record(const SlurmJob& job);
nlohmann::json resume_record(const RecordPlace& place, const SlurmJob& job);
// The campaign is finished; `kDoneKind` until a launch goes on after all.
inline constexpr const char kDoneKind[] = "done";
nlohmann::json done_record(const RecordPlace& place);
// A changed setting that the launch allowed.
nlohmann::json change_record(const RecordPlace& place, const std::string& key, const std::string& text);
// What the run has used so far, lost work included.
nlohmann::json spent_record(const RecordPlace& place, const nlohmann::json& figures);

}  // namespace nexus
