// nexus doctor: what is wrong on this machine or in this allocation, and the command that mends it.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "backend/cpu/library_versions.h"
#include "checkpoint/library_versions.h"
#include "cli/build_facts.h"
#include "cli/commands.h"
#include "cli/gpu.h"
#include "cli/option_checks.h"
#include "config/config.h"
#include "core/files.h"
#include "core/json_text.h"
#include "core/run_folder.h"
#include "doctor/checks.h"
#include "doctor/launcher_output.h"
#include "doctor/ranks.h"
#include "doctor/storage.h"
#include "doctor/versions.h"
#include "plan/plan.h"
#include "system/process.h"
#include "workloads/text/library_versions.h"

namespace nexus {
namespace {

// In the order of the report.
constexpr std::array<const char*, 6> kAreas{"mpi", "cuda", "fs", "slurm", "clocks", "versions"};
// How long a rank waits for the files of another node: network file systems remember for so long that a name was not
// there.
constexpr double kVisibilityPatience = 30;

struct DoctorArguments {
  std::string area = "all", run, campaign;
  int64_t mib = 64;
  bool json = false;
  bool wants(const std::string& name) const { return area == "all" || area == name; }
};

std::vector<Finding> check_versions() {
  std::vector<LibraryVersion> all{{"MPI", MpiSession::compiled_version(), MpiSession::library_version()}};
  for (const auto& some :
       {checkpoint_libraries(), cpu_libraries(), data_libraries(), gpu_libraries(), system_libraries()})
    all.insert(all.end(), some.begin(), some.end());
  return judge_versions(all);
}

// One of two ranks that check_launchers has started.
int probe() {
  try {
    MpiSession session(nullptr, nullptr);
    const std::unique_ptr<Communicator> world = session.world();
    const WorldFacts facts = examine_world(*world, own_facts(version(), own_gpu()));
    if (world->rank() == 0) std::fputs(probe_line(facts).c_str(), stdout);
    return 0;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kConfig) throw;
    std::fputs(singleton_line(error.fact()).c_str(), stdout);  // MpiSession refuses to be one of several worlds
    return 0;
  }
}

// Started by a launcher: this process is a rank.
std::vector<Finding> examine_launch(const LaunchEnvironment& launch) {
  if (launch.by == StartedBy::kSrun && !launch.wired) {  // Open MPI would end this process, and say much
    Findings found("mpi");
    found.problem(fmt::format("srun started {} tasks without PMIx: MPI does not make one world of them", launch.size),
                  "srun --mpi=pmix, or mpirun inside the allocation");
    return found.list();
  }
  try {
    MpiSession session(nullptr, nullptr);
    const std::unique_ptr<Communicator> world = session.world();
    return judge_world(examine_world(*world, own_facts(version(), own_gpu())));
  } catch (const Error& error) {
    Findings found("mpi");
    found.problem(error.fact() + (error.where().empty() ? "" : " (" + error.where() + ")"), error.todo());
    return found.list();
  }
}

// The campaign that is to be saved there: the one named, or that of the run folder; empty if there is none.
std::string campaign_file(const DoctorArguments& arguments) {
  if (!arguments.campaign.empty()) return arguments.campaign;
  const std::string resolved = RunFolder{arguments.run}.resolved_config();
  return !arguments.run.empty() && path_exists(resolved) ? resolved : "";
}

StorageOptions storage_options(const DoctorArguments& arguments, const LaunchEnvironment& launch) {
  StorageOptions options;
  options.folder = arguments.run;
  options.file_bytes = arguments.mib << 20;
  options.nodes = static_cast<int>(launch.job.nodes);
  if (const std::string file = campaign_file(arguments); !file.empty()) {
    const CampaignSpec spec = load_campaign(file).spec;
    if (options.folder.empty()) options.folder = spec.out;
    // Kept are the last checkpoint of every stage and the newest ones; one more is being written.
    for (const StageForecast& stage : make_forecast(spec, 0).stages) {
      options.checkpoint_bytes = std::max(options.checkpoint_bytes, stage.checkpoint_bytes);
      options.kept_bytes += stage.checkpoint_bytes;
    }
    options.kept_bytes += options.checkpoint_bytes * spec.checkpoint.keep_last;
  }
  std::error_code ignored;
  if (options.folder.empty()) options.folder = ".";
  std::filesystem::path folder = std::filesystem::absolute(options.folder, ignored).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // "/a/b/" of "b/."
  options.folder = folder.string();
  return options;
}

std::vector<Finding> check_storage(const DoctorArguments& arguments, const LaunchEnvironment& launch) {
  StorageOptions options = storage_options(arguments, launch);
  std::vector<Finding> found = check_visibility(nearest_folder(options.folder), launch, kVisibilityPatience);
  if (launch.rank != 0) return {};
  if (!found.empty()) options.nodes = 1;  // what the nodes see has just been tried
  const std::vector<Finding> own = judge_storage(probe_storage(options), options);
  found.insert(found.end(), own.begin(), own.end());
  return found;
}

// What every rank of a launch takes part in comes first; the rest is rank 0's.
std::vector<Finding> examine(const DoctorArguments& arguments, const LaunchEnvironment& launch) {
  std::vector<Finding> all;
  const auto append = [&](const std::vector<Finding>& more) { all.insert(all.end(), more.begin(), more.end()); };
  const bool launched = launch.by != StartedBy::kNobody;
  if (launched && (arguments.wants("mpi") || arguments.wants("clocks") || arguments.wants("cuda")))
    append(examine_launch(launch));
  if (arguments.wants("fs")) append(check_storage(arguments, launch));
  if (launch.rank != 0) return {};
  if (!launched && arguments.wants("mpi")) append(check_launchers(own_program(), launch));
  if (arguments.wants("cuda")) append(check_cuda(gpu_build(), gpu_count()));
  if (arguments.wants("slurm")) append(check_slurm(launch));
  if (arguments.wants("clocks")) append(check_clock());
  if (arguments.wants("versions")) append(check_versions());
  // A finding on ranks as such is shown in every area: without ranks there is nothing to compare.
  all.erase(std::remove_if(all.begin(), all.end(),
                           [&](const Finding& f) { return f.level != Level::kProblem && !arguments.wants(f.area); }),
            all.end());
  const auto place = [](const Finding& f) { return std::find(kAreas.begin(), kAreas.end(), f.area) - kAreas.begin(); };
  std::stable_sort(all.begin(), all.end(), [&](const Finding& a, const Finding& b) { return place(a) < place(b); });
  return all;
}

int doctor(const DoctorArguments& arguments) {
  if (arguments.area == "probe") return probe();
  const LaunchEnvironment launch = launch_environment();
  const std::vector<Finding> findings = examine(arguments, launch);
  if (launch.rank != 0) return 0;
  if (arguments.json) {
    nlohmann::json document = findings_json(findings);
    document["nexus"] = version();
    document["host"] = launch.host;
    document["ranks"] = launch.size;
    std::fputs((json_text(document, 2) + "\n").c_str(), stdout);
  } else {
    std::fputs(findings_text(findings).c_str(), stdout);
  }
  return exit_code_of(findings);
}

std::string check_area(const std::string& area) {
  if (area == "all" || area == "probe" || std::find(kAreas.begin(), kAreas.end(), area) != kAreas.end()) return "";
  return "unknown area '" + area + "': all, mpi, cuda, fs, slurm, clocks or versions";
}

}  // namespace

void add_doctor_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<DoctorArguments>();
  CLI::App* command = app.add_subcommand("doctor", "what is wrong on this machine or in this allocation, and the cure");
  command->add_option("AREA", arguments->area, "all, mpi, cuda, fs, slurm, clocks or versions")
      ->capture_default_str()
      ->check(check_area);
  // As it stands: the shell has expanded it, and what is looked at may have any name.
  command->add_option("--run", arguments->run,
                      "run folder, there or to be: what to try the file system of (default: .)");
  command->add_option("--campaign", arguments->campaign, "campaign file: is there room for its checkpoints?");
  command->add_option("--mib", arguments->mib, "size of the file whose writing is timed, in MiB")
      ->capture_default_str()
      ->check(whole_number(1, 1 << 20));
  command->add_flag("--json", arguments->json, "machine-readable, on stdout");
  command->callback([arguments, &action] { action = [arguments] { return doctor(*arguments); }; });
}

}  // namespace nexus
