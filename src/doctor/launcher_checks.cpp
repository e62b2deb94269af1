#include <fmt/format.h>

#include <algorithm>

#include "doctor/checks.h"
#include "doctor/launcher_output.h"
#include "doctor/slurm_facts.h"
#include "system/process.h"
#include "system/shell_quote.h"

namespace nexus {
namespace {

using Words = std::vector<std::string>;

constexpr double kQueryPatience = 20;
// The probe itself takes a second or two; a launcher whose ranks wait for each other for ever takes that long.
constexpr double kLaunchPatience = 90;

// What there is to say, and the word that gets the launcher past it.
struct Detour {
  Level level;
  const char *what, *cure, *option;
};

Detour detour_of(LaunchTrouble trouble) {
  switch (trouble) {
    case LaunchTrouble::kRoot:
      return {
          Level::kWarning, "mpirun refuses to run as root",
          "run as an ordinary user; in a container: export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
          "--allow-run-as-root"};
    case LaunchTrouble::kSlots:
      return {Level::kNote, "mpirun counts fewer than 2 slots here", "for tests: mpirun --oversubscribe",
              "--oversubscribe"};
    case LaunchTrouble::kBinding:
      return {Level::kNote, "mpirun cannot bind ranks to processors here", "mpirun --bind-to none", "--bind-to=none"};
    default: return {Level::kOk, "", "", ""};
  }
}

void report_world(const std::string& launcher, const WorldFacts& world, Findings& found) {
  for (Finding finding : judge_world(world)) {
    finding.what = launcher + ": " + finding.what;
    found.append({finding});
  }
}

// What became of two probes; `cure` is for two worlds of one.
void judge_launch(const Words& command, const ProcessResult& result, const std::string& cure, Findings& found) {
  const std::string launcher = command.front();
  const ProbeOutput probe = parse_probe_output(result.output);
  const std::string shown = shell_command({command.begin(), command.end() - 3});
  if (probe.singletons > 0) {
    found.problem(shown + fmt::format(" starts {} processes that are each a world of one", probe.singletons), cure);
    return;
  }
  if (probe.worlds.size() == 1 && probe.worlds[0].ranks.size() == 2 && result.ok()) {
    found.ok(shown + ": one world of 2");
    return report_world(launcher, probe.worlds[0], found);
  }
  const LaunchTrouble trouble = result.ok() ? LaunchTrouble::kNone : launch_trouble(result.errors + result.output);
  if (trouble == LaunchTrouble::kNoShell) {
    found.problem(shown + " finds no ssh, which Open MPI asks for even on one host",
                  "install an ssh client; where all ranks run on this host: export OMPI_MCA_plm_rsh_agent=false");
    return;
  }
  if (trouble == LaunchTrouble::kAbsent) {
    found.problem(fmt::format("{} does not find {} on every node", shown, shell_quote(command[command.size() - 3])),
                  "put nexus into a folder that all nodes share");
    return;
  }
  const std::string why = result.timed_out
                              ? fmt::format("no end after {} s", kLaunchPatience)
                              : fmt::format("exit code {}: {}", result.code,
                                            printable(result.errors.empty() ? result.output : result.errors));
  found.problem(shown + " does not work: " + why, "see it yourself: " + shell_command(command));
}

void check_mpirun_version(Findings& found) {
  const ProcessResult result = run_process({"mpirun", "--version"}, kQueryPatience);
  if (!result.found) return;  // said elsewhere
  const std::string said = printable(result.first_line(), 80), library = MpiSession::library_version();
  // "mpirun (Open MPI) 4.1.4", "Open MPI v4.1.4": the library names its version after a 'v'.
  const size_t v = library.rfind(" v");
  const std::string number = v == std::string::npos ? library : library.substr(v + 2);
  if (said.find(number) != std::string::npos)
    found.ok("mpirun and MPI library are both " + printable(library));
  else
    found.problem(fmt::format("mpirun is \"{}\", the MPI library \"{}\"", said, printable(library)),
                  "use the mpirun of that library: type -a mpirun");
}

void check_mpirun(const std::string& program, Findings& found) {
  check_mpirun_version(found);
  Words options;
  for (;;) {
    Words command{"mpirun", "-n", "2"};
    command.insert(command.end(), options.begin(), options.end());
    command.insert(command.end(), {program, "doctor", "probe"});
    const ProcessResult result = run_process(command, kLaunchPatience);
    if (!result.found) {
      found.problem("there is no mpirun in PATH", "install Open MPI (scripts/install-deps), or `module load openmpi`");
      return;
    }
    const Detour detour = detour_of(result.ok() ? LaunchTrouble::kNone : launch_trouble(result.errors + result.output));
    const std::string option = detour.option;
    if (option.empty() || std::find(options.begin(), options.end(), option) != options.end())
      return judge_launch(command, result, "use the mpirun of the MPI library that nexus was built with", found);
    found.add(detour.level, detour.what, detour.cure);
    options.push_back(option);
  }
}

void check_srun(const std::string& program, const LaunchEnvironment& launch, Findings& found) {
  const ProcessResult list = run_process({"srun", "--mpi=list"}, kQueryPatience);
  if (!list.found) {
    found.problem("in job " + launch.job.id + ", but srun is not in PATH", "module load slurm");
    return;
  }
  const std::vector<std::string> kinds = parse_srun_mpi_list(list.output + "\n" + list.errors);
  if (std::find(kinds.begin(), kinds.end(), "pmix") == kinds.end()) {
    found.warning("srun --mpi=list does not name pmix",
                  "start ranks with mpirun inside the allocation (launcher: mpirun in "
                  "the cluster file)");
    return;
  }
  Words command{"srun",         "--mpi=pmix",
                "--ntasks=2",   fmt::format("--nodes={}", std::min<int64_t>(2, launch.job.nodes)),
                "--overcommit", "--kill-on-bad-exit=1",
                "--time=2",     "--overlap"};
  const auto run = [&] {
    Words whole = command;
    whole.insert(whole.end(), {program, "doctor", "probe"});
    return std::pair(whole, run_process(whole, kLaunchPatience));
  };
  auto [whole, result] = run();
  if (!result.ok() && launch_trouble(result.errors) == LaunchTrouble::kOverlap) {
    command.pop_back();
    std::tie(whole, result) = run();
  }
  judge_launch(whole, result,
               "start ranks with mpirun inside the allocation; the cluster's pmix plugin does not fit this "
               "Open MPI",
               found);
}

}  // namespace

std::vector<Finding> check_launchers(const std::string& program, const LaunchEnvironment& launch) {
  Findings found("mpi");
  found.append(check_munge());
  check_mpirun(program, found);
  if (launch.job) check_srun(program, launch, found);
  return found.list();
}

}  // namespace nexus
