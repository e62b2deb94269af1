#include "slurm/job_script.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/run_folder.h"
#include "core/units.h"
#include "slurm/quote.h"
#include "slurm/templates.h"
#include "spec/cluster_words.h"
#include "spec/rules.h"
#include "system/environment.h"
#include "system/shell_quote.h"

namespace nexus {
namespace {

// sbatch's --signal arrives up to a minute early and is read in whole seconds.
constexpr double kLeastNotice = 30, kMostNotice = 3600;

std::string cluster_key(const std::string& key) {
  return "cluster file key " + key;
}

void require_cluster_word(const std::string& key, const std::string& word) {
  require_word(word, signs_of_word(key), cluster_key(key));
}

// The #SBATCH lines, one after the other.
class Directives {
 public:
  void flag(const std::string& name) { text_ += (text_.empty() ? "" : "\n") + ("#SBATCH --" + name); }
  void value(const std::string& name, const std::string& value) { flag(name + "=" + sbatch_quote(value)); }
  void number(const std::string& name, int64_t value) { flag(fmt::format("{}={}", name, value)); }
  // One of the cluster file's words; empty ones are not asked for.
  void word(const std::string& key, const std::string& word, const std::string& option) {
    if (word.empty()) return;
    require_cluster_word(key, word);
    value(option, word);
  }
  void word(const std::string& key, const std::string& text) { word(key, text, key); }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// Slurm counts minutes: rounded up.
std::string slurm_time(double seconds) {
  const auto minutes = static_cast<int64_t>(std::ceil(seconds / 60));
  const int64_t days = minutes / (24 * 60), hours = minutes / 60 % 24;
  const std::string clock = fmt::format("{:02}:{:02}:00", hours, minutes % 60);
  return days > 0 ? fmt::format("{}-{}", days, clock) : clock;
}

void add_resources(Directives& lines, const CampaignSpec& campaign, const ClusterSpec& cluster) {
  lines.number("nodes", campaign.slurm.nodes);
  lines.number("ntasks-per-node", cluster.ranks_per_node());
  lines.number("cpus-per-task", cluster.cpus_per_task);
  if (cluster.gpus_per_node > 0 && cluster.gres.empty()) lines.number("gpus-per-node", cluster.gpus_per_node);
  if (cluster.gpus_per_node > 0 && !cluster.gres.empty()) {
    require_cluster_word("gres", cluster.gres);
    lines.value("gres", fmt::format("{}:{}", cluster.gres, cluster.gpus_per_node));
  }
  lines.word("memory", cluster.memory, "mem");
  if (cluster.exclusive) lines.flag("exclusive");
  const double seconds = time_limit_seconds(campaign, cluster);
  if (seconds > 0) lines.value("time", slurm_time(seconds));
  lines.word("partition", cluster.partition);
  lines.word("account", cluster.account);
  lines.word("qos", cluster.qos);
  lines.word("constraint", cluster.constraint);
  lines.word("reservation", cluster.reservation);
}

std::string directives(const CampaignSpec& campaign, const ClusterSpec& cluster, const JobRequest& request) {
  Directives lines;
  lines.value("job-name", request.name);
  lines.value("comment", request.comment);
  // The log's name is relative, because sbatch reads %, but not in the working folder's name.
  require_printable(request.home, "run folder");
  lines.value("chdir", request.home);
  lines.value("output", request.log);
  lines.value("open-mode", "append");
  lines.flag("requeue");
  lines.value("kill-on-invalid-dep", "yes");
  if (request.array) {
    const size_t last = request.runs.size() - 1;
    lines.flag(fmt::format("array=0-{}", last) +
               (request.throttle > 0 ? fmt::format("%{}", request.throttle) : std::string()));
  }
  add_resources(lines, campaign, cluster);
  if (cluster.launcher == Launcher::kMpirun) {
    // Of a short job the notice takes a quarter at most, or it would stop as soon as it starts.
    double notice = std::clamp(campaign.slurm.stop_margin_seconds, kLeastNotice, kMostNotice);
    const double limit = time_limit_seconds(campaign, cluster);
    if (limit > 0) notice = std::min(notice, std::ceil(limit / 60) * 15);
    lines.flag(fmt::format("signal=B:USR2@{}", std::llround(notice)));
  }
  return lines.text();
}

std::string run_lines(const JobRequest& request) {
  for (const std::string& run : request.runs) require_printable(run, "run folder");
  if (!request.array) return "run=" + shell_quote(request.runs[0]);
  std::string text = "runs=(";
  for (const std::string& run : request.runs) text += "\n  " + shell_quote(run);
  return text + "\n)\nrun=${runs[SLURM_ARRAY_TASK_ID]}";
}

std::string module_lines(const ClusterSpec& cluster) {
  if (cluster.modules.empty()) return "";
  std::string text = "type module &>/dev/null || . /etc/profile  # batch shells may not know the command\nmodule load";
  for (const std::string& module : cluster.modules) {
    require_word(module, "_./+:@=-", cluster_key("modules"));
    text += " " + shell_quote(module);
  }
  return fmt::format("{} || end_job {}", text, to_int(ExitCode::kTransient));
}

// What bash and Slurm keep to themselves, and the script's own variables.
bool is_taken(const std::string& name) {
  static const std::vector<std::string> names = {
      "COMP_WORDBREAKS", "DIRSTACK", "ENV",    "EUID", "FUNCNAME", "GROUPS", "HISTCMD", "IFS",
      "LINENO",          "OLDPWD",   "OPTIND", "PPID", "PWD",      "RANDOM", "SECONDS", "SHLVL",
      "SHELLOPTS",       "SRANDOM",  "UID",    "_",    "caught",   "code",   "run",     "runs"};
  return name.starts_with("SLURM_") || name.starts_with("BASH") || name.starts_with("EPOCH") ||
         std::find(names.begin(), names.end(), name) != names.end();
}

std::string environment_lines(const ClusterSpec& cluster) {
  std::string text;
  if (cluster.environment.count("OMP_NUM_THREADS") == 0)
    text = fmt::format("export OMP_NUM_THREADS={}", cluster.cpus_per_task);
  for (const auto& [name, value] : cluster.environment) {
    if (!is_variable_name(name) || is_taken(name))
      throw Error(ErrorKind::kConfig, "the script cannot set this environment variable", cluster_key("environment"),
                  "use a name of letters, digits and _ that neither bash, Slurm nor the script itself uses");
    require_printable(value, cluster_key("environment." + name));
    text += (text.empty() ? "" : "\n") + ("export " + name + "=" + shell_quote(value));
  }
  return text;
}

bool has_option(const ClusterSpec& cluster, const std::string& name) {
  return std::any_of(cluster.launcher_options.begin(), cluster.launcher_options.end(),
                     [&](const std::string& option) { return option == name; });
}

// The cluster file's options, and what mpirun needs besides unless they say it: it refuses to be told twice.
std::string option_words(const ClusterSpec& cluster) {
  std::string text;
  if (cluster.launcher == Launcher::kMpirun) {
    if (!has_option(cluster, "--map-by")) text += fmt::format(" --map-by ppr:{}:node", cluster.ranks_per_node());
    // Otherwise a rank, with all its threads, would be tied to one core; Slurm has given the job its cores already.
    if (!has_option(cluster, "--bind-to")) text += " --bind-to none";
  }
  for (const std::string& option : cluster.launcher_options) {
    require_printable(option, cluster_key("launcher_options"));
    text += " " + shell_quote(option);
  }
  return text;
}

// A name is looked up in PATH. A path begins in the folder of submission, and must lead there even if the job's node
// has no such folder: `slurm job-end` comes after.
std::string program(const ClusterSpec& cluster, const JobRequest& request) {
  const bool relative = cluster.nexus.find('/') != std::string::npos && cluster.nexus[0] != '/';
  return shell_quote(relative ? request.folder + "/" + cluster.nexus : cluster.nexus);
}

std::string launch_lines(const CampaignSpec& campaign, const ClusterSpec& cluster, const JobRequest& request) {
  std::string train;
  if (!request.until_stage.empty()) train += " --until-stage " + shell_quote(request.until_stage);
  train += cluster.gpus_per_node > 0 ? " --device cuda" : " --device cpu";
  std::map<std::string, std::string> values = {
      {"OPTIONS", option_words(cluster)}, {"NEXUS", program(cluster, request)}, {"TRAIN", train}};
  if (cluster.launcher == Launcher::kMpirun) {
    values["RANKS"] = fmt::format("{}", ranks_of_job(campaign, cluster));
  } else {
    require_cluster_word("srun_mpi", cluster.srun_mpi);
    values["MPI"] = cluster.srun_mpi;
    values["CPUS"] = fmt::format("{}", cluster.cpus_per_task);  // since 22.05 srun does not ask the job for it
  }
  std::string text = fill_template(cluster.launcher == Launcher::kMpirun ? kMpirunTemplate : kSrunTemplate, values);
  text.pop_back();  // the file's last line break
  return text;
}

std::string trap_line(Launcher launcher) {
  if (launcher == Launcher::kSrun) return "trap 'caught=1' TERM USR2  # under srun the ranks hear of it from Slurm";
  return "trap 'caught=1; [[ -z $! ]] || kill -USR2 \"$!\"' TERM USR2  # mpirun passes USR2 on: save, then exit 75";
}

void check_request(const ClusterSpec& cluster, const JobRequest& request) {
  NX_CHECK(!request.runs.empty());
  NX_CHECK(request.array || request.runs.size() == 1);
  require_word(request.name, "._+-", "key name");
  require_word(request.comment, "._:+-", "comment");
  require_word(request.log, "._/%+-", "log");
  if (!request.until_stage.empty()) require_word(request.until_stage, "._-", "stage name");
  require_printable(request.folder, "current folder");
  require_printable(cluster.nexus, cluster_key("nexus"));
  if (cluster.nexus.empty() || cluster.nexus[0] == '-')
    throw Error(ErrorKind::kConfig, fmt::format("'{}' is no program", cluster.nexus), cluster_key("nexus"),
                "write nexus, or the program's path");
}

}  // namespace

double time_limit_seconds(const CampaignSpec& campaign, const ClusterSpec& cluster) {
  const double wanted = campaign.slurm.time_seconds, longest = cluster.max_time_seconds;
  if (longest > 0 && wanted > longest)
    throw Error(ErrorKind::kConfig,
                fmt::format("a job of {} is longer than cluster {} allows ({})", format_seconds(wanted), cluster.name,
                            format_seconds(longest)),
                "key slurm.time", "ask for less: the job is queued again until its stage is done");
  return wanted > 0 ? wanted : longest;
}

std::string job_script(const CampaignSpec& campaign, const ClusterSpec& cluster, const JobRequest& request) {
  check_request(cluster, request);
  ranks_of_job(campaign, cluster);
  std::string limits = fmt::format(" --max-requeues {}", campaign.slurm.max_requeues);
  return fill_template(kJobTemplate, {{"TITLE", request.title},
                                      {"SBATCH", directives(campaign, cluster, request)},
                                      {"TRAP", trap_line(cluster.launcher)},
                                      {"FOLDER", shell_quote(request.folder)},
                                      {"RUNS", run_lines(request)},
                                      {"MODULES", module_lines(cluster)},
                                      {"ENVIRONMENT", environment_lines(cluster)},
                                      {"LAUNCH", launch_lines(campaign, cluster, request)},
                                      {"NEXUS", program(cluster, request)},
                                      {"LIMITS", limits}});
}

}  // namespace nexus
