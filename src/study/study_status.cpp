#include "study/study_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "campaign/launch_inputs.h"
#include "config/study.h"
#include "core/error.h"
#include "core/files.h"
#include "core/units.h"
#include "records/status_record.h"
#include "report/run_reader.h"
#include "slurm/status.h"
#include "statistics/quantiles.h"

namespace nexus {
namespace {

constexpr size_t kRateSteps = 50;

StudyRunState state_of(const std::optional<StatusRecord>& status, bool gone, bool queued) {
  if (status && status->is_done()) return StudyRunState::kDone;
  if (status && !status->end && !gone) return StudyRunState::kRunning;
  if (queued) return StudyRunState::kQueued;
  if (!status) return StudyRunState::kWaiting;
  const bool may_go_on =
      !status->end || status->end->exit == ExitCode::kStopped || status->end->exit == ExitCode::kDone;
  return may_go_on ? StudyRunState::kStopped : StudyRunState::kFailed;
}

// What of its own stages is behind the run, by the last step of each, its last loss, and its pace.
void add_progress(const std::string& folder, double step_tokens, StudyRunView& view) {
  try {
    const RunHistory history = read_run(folder);
    std::map<int64_t, int64_t> steps;
    for (const StepRecord& row : history.steps) steps[row.stage_index] = row.step;
    for (const auto& [stage, step] : steps) view.tokens_done += static_cast<double>(step) * step_tokens;
    if (!history.evals.empty()) view.loss = history.evals.back().loss;
    std::vector<double> seconds;
    for (size_t i = history.steps.size(); i > 0 && seconds.size() < kRateSteps; --i)
      if (history.steps[i - 1].stage_index == history.steps.back().stage_index)
        seconds.push_back(history.steps[i - 1].step_ms / 1e3);
    if (view.state == StudyRunState::kRunning && !seconds.empty())
      view.tokens_per_second = step_tokens / std::max(1e-9, median(std::move(seconds)));
  } catch (const Error&) {
    // It is just being written, or has no records yet.
  }
}

// What a run of an arm has before it; its seeds differ in nothing that counts.
struct Work {
  double tokens = -1, step_tokens = 0;
};
Work work_of(const CampaignSpec& campaign) {
  Work work{0, static_cast<double>(campaign.batch.global_tokens)};
  for (size_t stage = 0; stage < campaign.stages.size(); ++stage)
    work.tokens += static_cast<double>(campaign.steps_of_stage(stage)) * work.step_tokens;
  return work;
}

std::string seeds_text(const StudySpec& study, const std::vector<StudyRunView>& views, size_t arm) {
  std::string text;
  for (size_t s = 0; s < study.seeds.size(); ++s) {
    const StudyRunView& view = views[arm * study.seeds.size() + s];
    const bool has_loss = view.loss && view.state != StudyRunState::kWaiting;
    text += fmt::format("  {} {}", study.seeds[s], name_of(view.state));
    if (view.state == StudyRunState::kRunning && view.tokens_total > 0)
      text += fmt::format(" {:.0f} %", 100 * view.tokens_done / view.tokens_total);
    if (has_loss) text += fmt::format(" {:.4f}", *view.loss);
  }
  return text;
}

std::string work_text(const std::vector<StudyRunView>& views) {
  double done = 0, total = 0, pace = 0;
  for (const StudyRunView& view : views) {
    done += view.tokens_done;
    total += view.tokens_total;
    pace += view.tokens_per_second;
  }
  const auto finished = std::ranges::count(views, StudyRunState::kDone, &StudyRunView::state);
  std::string text = fmt::format("{} of {} runs done, {:.0f} % of the work\n", finished, views.size(),
                                 total > 0 ? 100 * done / total : 0);
  if (pace > 0)
    text += fmt::format("time left {} | at the pace of the {} runs that run now, without queueing\n",
                        format_seconds((total - done) / pace),
                        std::ranges::count(views, StudyRunState::kRunning, &StudyRunView::state));
  return text;
}

// What is to be said of a run that has failed, or whose job has, so that somebody must see to it; or nothing.
std::string failure_text(const std::string& name, const StudyRun& run, const StudyRunView& view) {
  const std::string log = view.job ? view.job->log : run.folder + ".log";
  if (view.state == StudyRunState::kFailed) return fmt::format("{} failed: {}; {}\n", name, view.text, log);
  const bool open = view.state == StudyRunState::kWaiting || view.state == StudyRunState::kStopped;
  if (!open || !view.job || !view.job->job) return "";
  return fmt::format("{} {}: its job {} has ended as {}; {}\n", name, name_of(view.state), view.job->id,
                     view.job->job->state, log);
}

}  // namespace

const char* name_of(StudyRunState state) {
  switch (state) {
    case StudyRunState::kWaiting: return "waiting";
    case StudyRunState::kQueued: return "queued";
    case StudyRunState::kRunning: return "running";
    case StudyRunState::kStopped: return "stopped";
    case StudyRunState::kFailed: return "failed";
    case StudyRunState::kDone: return "done";
  }
  return "";
}

bool is_done(const StudySpec& study, const StudyRun& run) {
  const RunFolder folder{run.folder};
  const std::optional<StatusRecord> status = read_status(folder);
  if (!status || !status->is_done() || !path_exists(folder.resolved_config())) return false;
  LoadedCampaign campaign = campaign_of(study, run);
  if (run.parent) campaign = campaign_of(study, run, ancestor_checkpoint(campaign.spec));
  return read_text_file(folder.resolved_config()) == campaign.resolved_yaml;
}

std::vector<StudyRunView> view_study(const StudySpec& study, const std::vector<QueuedJob>& queue) {
  const std::vector<StudyRun> runs = runs_of(study);
  std::vector<std::string> folders;
  for (const StudyRun& run : runs) folders.push_back(run.folder);
  const std::vector<bool> gone = runs_without_process(folders, queue);
  const std::vector<std::optional<StudyJob>> jobs = jobs_of_study(runs, queue);
  std::vector<StudyRunView> views(runs.size());
  std::vector<Work> works(study.arms.size());
  for (size_t i = 0; i < runs.size(); ++i) {
    StudyRunView& view = views[i];
    Work& work = works[runs[i].arm];
    if (work.tokens < 0) work = work_of(campaign_of(study, runs[i]).spec);
    view.tokens_total = work.tokens;
    view.job = jobs[i];
    const std::optional<StatusRecord> status = read_status(RunFolder{runs[i].folder});
    view.state = state_of(status, gone[i], view.job && view.job->live());
    if (status) {
      view.text = status->text;
      add_progress(runs[i].folder, work.step_tokens, view);
    } else if (runs[i].parent) {
      view.text = "waits for " + name_of(study, runs[*runs[i].parent]);
    }
  }
  return views;
}

std::string status_text(const StudySpec& study, const std::vector<StudyRunView>& views) {
  std::string text = fmt::format("study {}{}{}\n", study.name, study.question.empty() ? "" : " | ", study.question);
  size_t width = 0;
  for (const StudyArm& arm : study.arms) width = std::max(width, arm.name.size());
  for (size_t arm = 0; arm < study.arms.size(); ++arm)
    text += fmt::format("{:{}}{}\n", study.arms[arm].name, width, seeds_text(study, views, arm));
  text += work_text(views);
  const std::vector<StudyRun> runs = runs_of(study);
  std::vector<std::vector<std::string>> rows = {{"JOB", "RUN", "STATE", "REASON", "RUNS", "LEFT", "NODES"}};
  for (size_t i = 0; i < views.size(); ++i) {
    if (!views[i].job || !views[i].job->live()) continue;
    const QueuedJob& job = *views[i].job->job;
    rows.push_back({job.id, name_of(study, runs[i]), job.state, job.reason, job.elapsed, job.left, job.nodes});
  }
  if (rows.size() > 1) text += "\n" + table_text(rows) + "\n";
  for (size_t i = 0; i < views.size(); ++i) text += failure_text(name_of(study, runs[i]), runs[i], views[i]);
  return text;
}

nlohmann::ordered_json status_json(const StudySpec& study, const std::vector<StudyRunView>& views) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  const std::vector<StudyRun> runs = runs_of(study);
  for (size_t i = 0; i < views.size(); ++i) {
    const StudyRunView& view = views[i];
    nlohmann::ordered_json row = {
        {"arm", study.arms[runs[i].arm].name}, {"seed", runs[i].seed}, {"folder", runs[i].folder},
        {"state", name_of(view.state)},        {"status", view.text},  {"tokens_done", view.tokens_done},
        {"tokens_total", view.tokens_total}};
    row["tokens_per_second"] = view.tokens_per_second;
    row["job"] = view.job ? nlohmann::ordered_json(view.job->id) : nlohmann::ordered_json(nullptr);
    const bool known = view.job && view.job->job;
    row["job_state"] = known ? nlohmann::ordered_json(view.job->job->state) : nlohmann::ordered_json(nullptr);
    row["loss"] = view.loss ? nlohmann::ordered_json(*view.loss) : nlohmann::ordered_json(nullptr);
    rows.push_back(std::move(row));
  }
  return {{"study", study.name}, {"runs", rows}};
}

}  // namespace nexus
