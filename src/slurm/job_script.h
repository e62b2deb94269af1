// One sbatch script as text: what slurm/*.in become for a campaign on a cluster. Nothing is read or written here.
#pragma once

#include <string>
#include <vector>

#include "spec/campaign_spec.h"
#include "spec/cluster_spec.h"

namespace nexus {

struct JobRequest {
  std::string title;    // the script's first comment
  std::string name;     // of the job: a safe name (core/run_folder.h)
  std::string comment;  // tells our jobs from others'
  std::string folder;   // of submission, absolute: relative paths of the campaign begin there
  // Run folders, absolute, each with its slurm/campaign.yaml. More than one, or `array`: one task of a job array each.
  std::vector<std::string> runs;
  bool array = false;
  int64_t throttle = 0;     // most array tasks that run at a time; 0: no limit
  std::string home;         // run folder that keeps script and logs, absolute
  std::string log;          // inside `home`, with Slurm's %j or %A_%a
  std::string until_stage;  // the job ends after this stage; empty: after the last
};

// Throws ErrorKind::kConfig, naming the key and the cure, for values that cannot stand in a script, and for a time
// limit beyond the cluster's.
std::string job_script(const CampaignSpec& campaign, const ClusterSpec& cluster, const JobRequest& request);

// Seconds of the job's time limit: the campaign's, or else the cluster's longest; 0: the partition's own.
double time_limit_seconds(const CampaignSpec& campaign, const ClusterSpec& cluster);

}  // namespace nexus
