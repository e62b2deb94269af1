// Names inside a run folder, in one place.
#pragma once

#include <cstdint>
#include <string>

namespace nexus {

struct RunFolder {
  std::string root;

  std::string config() const { return root + "/config.yaml"; }
  std::string resolved_config() const { return root + "/config.resolved.yaml"; }
  std::string run_json() const { return root + "/run.json"; }
  std::string metrics() const { return root + "/metrics.jsonl"; }
  std::string evals() const { return root + "/eval.jsonl"; }
  std::string task_results() const { return root + "/evals"; }
  // evals/STAGE-0001840: results.json and TASK.jsonl, as `nexus eval --out` writes them
  std::string task_results(const std::string& stage, int64_t step) const;
  std::string ledger() const { return root + "/ledger.jsonl"; }
  std::string status() const { return root + "/STATUS"; }
  std::string jobs() const { return root + "/jobs.json"; }
  std::string slurm_folder() const { return root + "/slurm"; }
  std::string lease_folder() const { return root + "/lease"; }
  std::string tensorboard_folder() const { return root + "/tensorboard"; }
  std::string log_folder() const { return root + "/logs"; }
  std::string dump_folder() const { return root + "/dumps"; }
  std::string report_folder() const { return root + "/report"; }
  std::string checkpoints() const { return root + "/checkpoints"; }
  std::string checkpoint_now_request() const { return root + "/CHECKPOINT_NOW"; }
  std::string stop_request() const { return root + "/STOP"; }
  // checkpoints/STAGE/0001840
  std::string checkpoint(const std::string& stage, int64_t step) const;
};

// RUN of RUN/checkpoints/STAGE/STEP, absolute; no run needs to be there.
RunFolder run_of_checkpoint(const std::string& path);

// Stage and run names become folder names: [A-Za-z0-9._-]{1,100}, no leading dot or dash.
bool is_safe_name(const std::string& name);
// Throws ErrorKind::kConfig where `name`, the value of the configuration key `key`, is no such name.
void require_safe_name(const std::string& key, const std::string& name);

}  // namespace nexus
