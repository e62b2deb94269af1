// From campaigns to the files that their jobs need: RUN/slurm/*.sbatch and RUN/slurm/campaign.yaml.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "spec/campaign_spec.h"
#include "spec/cluster_spec.h"

namespace nexus {

struct RenderTask {
  CampaignSpec spec;  // spec.out is the run folder
  std::string resolved_yaml;
  // Of an array: those of generation 1 start when all of generation 0 have ended, and so on.
  int64_t generation = 0;
  std::vector<std::string> after = {};  // jobs in the queue that must have ended, too
};

struct RenderInput {
  std::vector<RenderTask> tasks;  // one, unless `array`
  bool array = false;             // a job array for each generation of `tasks`, all stages in each task
  bool adds = false;              // the array comes beside others of the same home, whose tasks go on
  int64_t throttle = 0;           // most array tasks that run at a time; 0: no limit
  std::string home;               // keeps script, logs and jobs.json of an array; otherwise the run folder
  std::string name = {};          // of the jobs; empty: the campaign's
  ClusterSpec cluster;
};

struct RenderedFile {
  std::string path, text;
};

// A script to submit.
struct RenderedJob {
  std::string stage;   // empty: the whole campaign
  std::string script;  // inside `home`
  std::string comment;
  std::vector<std::string> runs;   // absolute; of an array those of its tasks
  std::vector<std::string> after;  // jobs in the queue that must have ended before it starts
};

struct RenderedJobs {
  std::string home;               // absolute
  std::vector<std::string> runs;  // absolute; the tasks' run folders
  std::string cluster;            // its name
  bool array = false, adds = false;
  std::vector<RenderedFile> files;
  std::vector<RenderedJob> jobs;  // a chain: each after the one before has succeeded, or, of arrays, ended
};

// Pure, but for the current folder, which is the folder of submission. Throws ErrorKind::kConfig for names and values
// that cannot stand in a script.
RenderedJobs render_jobs(const RenderInput& input);

// Makes the folders, and writes the files that are not the same already. Returns how many it wrote.
int write_rendered(const RenderedJobs& rendered);

}  // namespace nexus
