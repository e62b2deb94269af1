#include "doctor/launch_context.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "core/host.h"

namespace nexus {
namespace {

// What may stand in a file's name, of a text that comes from the environment.
std::string tame(const std::string& text) {
  std::string name;
  for (const char c : text.substr(0, 80))
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == '_' ? c : '_';
  return name;
}

}  // namespace

LaunchContext launch_context(const std::function<std::string(const char*)>& variable, const std::string& host) {
  const auto number = [&](const char* name) { return std::atoi(variable(name).c_str()); };
  LaunchContext context;
  context.job = tame(variable("SLURM_JOB_ID"));
  context.nodes = std::max(1, number("SLURM_JOB_NUM_NODES"));
  context.host = variable("SLURMD_NODENAME").empty() ? host : tame(variable("SLURMD_NODENAME"));
  context.wired = !variable("PMIX_RANK").empty() || !variable("PMI_RANK").empty();
  // Under mpirun in an allocation, Slurm's task number is that of mpirun's daemon: Open MPI's own comes first.
  if (!variable("OMPI_COMM_WORLD_RANK").empty()) {
    context.by = StartedBy::kMpirun;
    context.rank = number("OMPI_COMM_WORLD_RANK");
    context.size = std::max(1, number("OMPI_COMM_WORLD_SIZE"));
    context.token = "mpirun-" + tame(variable("PMIX_NAMESPACE"));
  } else if (!variable("SLURM_PROCID").empty() && number("SLURM_STEP_NUM_TASKS") > 1) {
    context.by = StartedBy::kSrun;
    context.rank = number("SLURM_PROCID");
    context.size = number("SLURM_STEP_NUM_TASKS");
    context.token =
        "srun-" + context.job + "." + tame(variable("SLURM_STEP_ID")) + "." + tame(variable("SLURM_RESTART_COUNT"));
  }
  return context;
}

LaunchContext launch_context() {
  return launch_context(
      [](const char* variable) {
        const char* value = std::getenv(variable);
        return std::string(value == nullptr ? "" : value);
      },
      host_name());
}

}  // namespace nexus
