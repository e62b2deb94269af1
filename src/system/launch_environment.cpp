#include "system/launch_environment.h"

#include <stdlib.h>

#include <algorithm>
#include <charconv>

#include "core/ascii.h"
#include "core/host.h"
#include "system/environment.h"

namespace nexus {
namespace {

using Lookup = std::function<std::string(const std::string&)>;

// What may stand in a file's name, of a text that comes from the environment.
std::string tame(const std::string& text) {
  std::string name = text.substr(0, 80);
  for (char& c : name)
    if (!is_made_of({&c, 1}, ".-_")) c = '_';
  return name;
}

// "2" of "2(x3),1", as Slurm counts tasks per node: where they differ, the first node's number serves.
int leading_count(const std::string& text) {
  return static_cast<int>(slurm_number(text.substr(0, text.find_first_not_of("0123456789"))).value_or(0));
}

std::string first_of(const Lookup& variable, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (std::string value = variable(name); !value.empty()) return value;
  return "";
}

void read_ranks(const Lookup& variable, LaunchEnvironment& launch) {
  const auto number = [&](const char* name) { return leading_count(variable(name)); };
  // Under mpirun in an allocation, Slurm's task number is that of mpirun's daemon: Open MPI's own comes first.
  if (!variable("OMPI_COMM_WORLD_RANK").empty()) {
    launch.by = StartedBy::kMpirun;
    launch.rank = number("OMPI_COMM_WORLD_RANK");
    launch.size = std::max(1, number("OMPI_COMM_WORLD_SIZE"));
    launch.token = "mpirun-" + tame(variable("PMIX_NAMESPACE"));
  } else if (!variable("SLURM_PROCID").empty() && number("SLURM_STEP_NUM_TASKS") > 1) {
    launch.by = StartedBy::kSrun;
    launch.rank = number("SLURM_PROCID");
    launch.size = number("SLURM_STEP_NUM_TASKS");
    launch.token = "srun-" + tame(variable("SLURM_JOB_ID")) + "." + tame(variable("SLURM_STEP_ID")) + "." +
                   tame(variable("SLURM_RESTART_COUNT"));
  }
  if (const std::string rank = first_of(variable, {"OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"}); !rank.empty())
    launch.local_rank = leading_count(rank);
  for (const char* name : {"SLURM_STEP_TASKS_PER_NODE", "OMPI_COMM_WORLD_LOCAL_SIZE"})
    if (const int ranks = number(name); ranks > 0) launch.ranks_on_node = ranks;
  launch.wired = !first_of(variable, {"PMIX_RANK", "PMI_RANK"}).empty();
  const std::string rank = first_of(variable, {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"});
  launch.first = rank.empty() || rank == "0";
}

void read_job(const Lookup& variable, LaunchEnvironment& launch) {
  launch.node_list = variable("SLURM_JOB_NODELIST");
  launch.partition = variable("SLURM_JOB_PARTITION");
  launch.reservation = variable("SLURM_JOB_RESERVATION");
  launch.end_time = variable("SLURM_JOB_END_TIME");
  const std::string id = variable("SLURM_JOB_ID");
  if (id.empty())
    for (const char* name : {"SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE", "SLURM_PROCID", "SLURM_JOB_END_TIME",
                             "SLURM_RESTART_COUNT", "SLURM_JOB_NUM_NODES", "SLURM_LOCALID", "SLURMD_NODENAME"})
      if (launch.stray.empty() && !variable(name).empty()) launch.stray = name;
  if (!slurm_number(id)) return;
  launch.job = {id, slurm_number(variable("SLURM_RESTART_COUNT")).value_or(0),
                std::max<int64_t>(1, slurm_number(variable("SLURM_JOB_NUM_NODES")).value_or(1))};
  // A task of an array has an id of its own too, but the first task's is that of the whole array.
  const std::string array = variable("SLURM_ARRAY_JOB_ID"), task = variable("SLURM_ARRAY_TASK_ID");
  launch.target = array.empty() || task.empty() ? id : array + "_" + task;
}

}  // namespace

LaunchEnvironment launch_environment(const Lookup& variable, const std::string& host) {
  LaunchEnvironment launch;
  const std::string node = variable("SLURMD_NODENAME");
  launch.host = node.empty() ? host : tame(node);
  read_ranks(variable, launch);
  read_job(variable, launch);
  return launch;
}

LaunchEnvironment launch_environment() {
  return launch_environment(environment, host_name());
}

SlurmJob slurm_job() {
  return launch_environment().job;
}

void leave_out_slurm_variables() {
  for (const std::string& name : environment_names())
    if ((name.starts_with("SLURM_") && name != "SLURM_CONF") || name == "SLURMD_NODENAME") ::unsetenv(name.c_str());
}

std::optional<int64_t> slurm_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

}  // namespace nexus
