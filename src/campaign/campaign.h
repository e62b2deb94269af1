// A campaign: stages trained one after another, growth between them, in one run folder that any restart continues.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "spec/campaign_spec.h"
#include "spec/key_class.h"
#include "spec/task_spec.h"
#include "train/run_records.h"

namespace nexus {

// A campaign file as read: the plain data, and the texts that are recorded and compared.
struct CampaignInput {
  CampaignSpec spec;
  std::string file_text;      // as given, kept as config.yaml
  std::string resolved_yaml;  // with every default, kept as config.resolved.yaml
  std::vector<StageNumerics> stage_numerics;
  ClassOfKey class_of;
  std::vector<TaskSpec> tasks;  // those that eval.tasks names
};

struct LaunchOptions {
  std::string resume = "auto";  // auto: the newest checkpoint that verifies; never: begin anew where none is left; or a
                                // checkpoint's path
  std::optional<double> stop_after_seconds;
  std::string until_stage;  // end, successfully, when this stage is finished; empty: go on to the campaign's end
  std::vector<std::string> allowed_changes;  // keys of class schedule whose values may differ from the checkpoint's
  // Called once the run folder is this job's own: a refused launch must not touch the files of a job that works there.
  std::function<void(const std::string& folder, const LaunchMark& mark)> on_open;
  std::string version;  // of nexus, for run.json
  std::string command_line;
};

// Collective over `world`. Returns kDone when every stage (or the one asked for) is finished, kStopped when asked to
// stop, kBudget at a limit of the budget; throws otherwise.
ExitCode run_campaign(const CampaignInput& input, const LaunchOptions& launch, Backend& backend,
                      std::unique_ptr<Communicator> world);

}  // namespace nexus
