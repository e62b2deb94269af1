#include <fmt/format.h>

#include "doctor/checks.h"
#include "doctor/slurm_facts.h"
#include "system/process.h"
#include "system/shell_quote.h"

namespace nexus {
namespace {

constexpr double kSlurmPatience = 30;  // a controller under load answers within seconds

struct Command {
  const char* name;
  const char* use;
};
// Without the last one only accounting is missing.
constexpr Command kCommands[] = {{"sbatch", "submits"},   {"srun", "starts ranks"},    {"scontrol", "requeues"},
                                 {"squeue", "is polled"}, {"scancel", "ends a chain"}, {"sinfo", "shows partitions"}};

// The versions of the commands found; problems for those missing where there is Slurm at all.
bool check_commands(bool in_job, Findings& found) {
  std::string missing, version, others;
  int present = 0;
  for (const Command& command : kCommands) {
    const ProcessResult result = run_process({command.name, "--version"}, kSlurmPatience);
    if (!result.found) {
      missing += fmt::format("{}{} ({})", missing.empty() ? "" : ", ", command.name, command.use);
      continue;
    }
    ++present;
    const std::string said = printable(result.first_line(), 60);
    if (result.ok() && version.empty()) version = said;
    if (result.ok() && said != version) others += fmt::format(" {} {}", command.name, said);
  }
  if (present == 0 && !in_job) {
    found.note("no Slurm here: none of its commands is in PATH");
    return false;
  }
  if (!missing.empty())
    found.problem("Slurm's commands are missing: " + missing,
                  "install Slurm's client commands, or `module load slurm`");
  if (!others.empty())
    found.warning("Slurm's commands differ: " + version + others, "use one installation: type -a sbatch srun");
  if (present > 0 && !version.empty()) found.ok(version + fmt::format(", {} commands", present));
  return present > 0;
}

// Programs give reasons in order of their discovery: the last one is the sum.
std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);  // npos + 1 is 0
}

// The command's output, or nothing after a finding that it does not answer.
std::string answer_of(const std::vector<std::string>& arguments, bool in_job, Findings& found) {
  const ProcessResult result = run_process(arguments, kSlurmPatience);
  if (result.ok()) return result.output;
  if (!result.found) return "";
  const std::string& said = result.errors.empty() ? result.output : result.errors;
  const std::string why =
      result.timed_out ? fmt::format("no answer in {} s", kSlurmPatience) : printable(last_line(said));
  // What Slurm's commands say where there is no slurm.conf: the package is there, a cluster is not.
  if (!in_job && why.find("configuration source") != std::string::npos)
    found.note("Slurm's commands are installed, but this host belongs to no cluster: " + why,
               "on a cluster: export SLURM_CONF=/path/to/slurm.conf");
  else
    found.problem(fmt::format("{} does not work: {}", shell_command(arguments), why), "see who answers: scontrol ping");
  return "";
}

}  // namespace

std::vector<Finding> check_slurm(const LaunchEnvironment& launch) {
  Findings found("slurm");
  const bool in_job = static_cast<bool>(launch.job);
  if (!check_commands(in_job, found)) return found.list();
  const std::string nodes = answer_of({"sinfo", "--noheader", "--format=%R|%a|%l|%D|%t"}, in_job, found);
  if (nodes.empty()) return found.list();  // the others would say the same
  found.append(judge_slurm_nodes(parse_sinfo(nodes)));
  const auto config = parse_slurm_config(answer_of({"scontrol", "show", "config"}, in_job, found));
  found.append(judge_slurm_config(config));
  found.append(judge_slurm_partitions(
      parse_slurm_records(answer_of({"scontrol", "--oneliner", "show", "partition"}, in_job, found)), config));
  if (in_job) {
    const auto jobs =
        parse_slurm_records(answer_of({"scontrol", "--oneliner", "show", "job", launch.job.id}, in_job, found));
    if (!jobs.empty()) found.append(judge_slurm_job(jobs.front()));
  }
  return found.list();
}

}  // namespace nexus
