// A campaign and clusters for tests of job scripts.
#pragma once

#include <string>

#include "slurm/job_script.h"
#include "slurm/render.h"
#include "spec/campaign_spec.h"
#include "spec/cluster_spec.h"

namespace nexus {

inline CampaignSpec two_stages(const std::string& out) {
  CampaignSpec spec;
  spec.name = "tiny";
  spec.out = out;
  spec.batch.global_tokens = 1024;
  for (const char* name : {"s0", "s1"}) {
    StageSpec stage;
    stage.name = name;
    stage.tokens = 10240;
    spec.stages.push_back(stage);
  }
  return spec;
}

inline ClusterSpec small_cluster(Launcher launcher) {
  ClusterSpec cluster;
  cluster.name = "small";
  cluster.tasks_per_node = 4;
  cluster.cpus_per_task = 2;
  cluster.launcher = launcher;
  return cluster;
}

inline JobRequest stage_request(const std::string& run) {
  JobRequest request;
  request.title = "Stage s0 of campaign tiny";
  request.name = "tiny.s0";
  request.comment = "nexus:0123456789abcdef:s0";
  request.folder = "/";
  request.runs = {run};
  request.home = run;
  request.log = "logs/s0-%j.out";
  request.until_stage = "s0";
  return request;
}

inline RenderInput render_input(const CampaignSpec& spec, Launcher launcher = Launcher::kSrun) {
  RenderInput input;
  input.tasks = {{spec, "name: tiny\n"}};
  input.cluster = small_cluster(launcher);
  return input;
}

}  // namespace nexus
