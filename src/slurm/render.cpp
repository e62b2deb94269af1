#include "slurm/render.h"

#include <filesystem>
#include <map>
#include <set>
#include <tuple>

#include "core/error.h"
#include "core/files.h"
#include "core/run_folder.h"
#include "slurm/job_book.h"
#include "slurm/job_script.h"
#include "spec/rules.h"

namespace nexus {
namespace {

void check_tasks(const RenderInput& input, const std::vector<std::string>& runs) {
  if (input.array && runs.size() > 1 && std::set<std::string>(runs.begin(), runs.end()).size() != runs.size())
    throw Error(ErrorKind::kConfig, "two tasks of the array have the same run folder", "key out",
                "give every campaign its own `out`, and every seed once");
  for (const RenderTask& task : input.tasks) check_names(task.spec);
  const auto shape = [](const SlurmSpec& slurm) {
    return std::tuple(slurm.nodes, slurm.time_seconds, slurm.stop_margin_seconds, slurm.max_requeues);
  };
  for (const RenderTask& task : input.tasks)
    if (shape(task.spec.slurm) != shape(input.tasks[0].spec.slurm))
      throw Error(
          ErrorKind::kConfig,
          fmt::format("{} and {}, tasks of one array, ask for different jobs", input.tasks[0].spec.out, task.spec.out),
          "key slurm", "give all tasks the same slurm.nodes, time, stop_margin and max_requeues");
}

class Renderer {
 public:
  explicit Renderer(const RenderInput& input) : input_(input), spec_(input.tasks[0].spec) {
    for (const RenderTask& task : input.tasks) out_.runs.push_back(absolute_path(task.spec.out));
    out_.home = input.array ? absolute_path(input.home) : out_.runs[0];
    out_.cluster = input.cluster.name;
    out_.array = input.array;
    out_.adds = input.adds;
    check_tasks(input, out_.runs);
  }

  RenderedJobs render() {
    for (size_t i = 0; i < input_.tasks.size(); ++i)
      out_.files.push_back({RunFolder{out_.runs[i]}.slurm_folder() + "/campaign.yaml", input_.tasks[i].resolved_yaml});
    if (input_.array)
      add_arrays();
    else if (spec_.slurm.chain == SlurmSpec::Chain::kCampaign)
      add_job("campaign", "", "logs/campaign-%j.out", "All stages of campaign " + spec_.name, out_.runs);
    else
      for (const StageSpec& stage : spec_.stages)
        add_job(stage.name, stage.name, "logs/" + stage.name + "-%j.out",
                fmt::format("Stage {} of campaign {}", stage.name, spec_.name), out_.runs);
    return std::move(out_);
  }

 private:
  void add_arrays() {
    std::map<int64_t, std::vector<size_t>> generations;
    for (size_t i = 0; i < input_.tasks.size(); ++i) generations[input_.tasks[i].generation].push_back(i);
    for (const auto& [generation, tasks] : generations) {
      const std::string name = generation == 0 ? "array" : fmt::format("array-{}", generation);
      std::vector<std::string> runs;
      std::set<std::string> after;
      for (const size_t task : tasks) {
        runs.push_back(out_.runs[task]);
        after.insert(input_.tasks[task].after.begin(), input_.tasks[task].after.end());
      }
      add_job(name, "", "logs/" + name + "-%A_%a.out",
              fmt::format("{} runs of {}, a task each", runs.size(), job_name()), runs);
      out_.jobs.back().after.assign(after.begin(), after.end());
    }
  }

  std::string job_name() const { return input_.name.empty() ? spec_.name : input_.name; }

  void add_job(const std::string& name, const std::string& stage, const std::string& log, const std::string& title,
               const std::vector<std::string>& runs) {
    JobRequest request;
    request.title = title;
    request.name = job_name() + "." + name;
    request.comment = token_of(out_.home) + ":" + name;
    request.folder = std::filesystem::current_path().string();
    request.runs = runs;
    request.array = input_.array;
    request.throttle = input_.throttle;
    request.home = out_.home;
    request.log = log;
    request.until_stage = stage;
    const std::string script = "slurm/" + name + ".sbatch";
    out_.files.push_back({out_.home + "/" + script, job_script(spec_, input_.cluster, request)});
    out_.jobs.push_back({stage, script, request.comment, runs, {}});
  }

  const RenderInput& input_;
  const CampaignSpec& spec_;
  RenderedJobs out_;
};

bool holds(const RenderedFile& file) {
  return path_exists(file.path) && read_text_file(file.path) == file.text;
}

}  // namespace

RenderedJobs render_jobs(const RenderInput& input) {
  NX_CHECK(!input.tasks.empty() && (input.array || input.tasks.size() == 1));
  return Renderer(input).render();
}

int write_rendered(const RenderedJobs& rendered) {
  std::set<std::string> folders(rendered.runs.begin(), rendered.runs.end());
  folders.insert(rendered.home);
  for (const std::string& folder : folders) make_folders(RunFolder{folder}.slurm_folder());
  make_folders(RunFolder{rendered.home}.log_folder());
  int written = 0;
  for (const RenderedFile& file : rendered.files) {
    if (holds(file)) continue;
    write_file_durably(file.path, file.text);
    ++written;
  }
  return written;
}

}  // namespace nexus
