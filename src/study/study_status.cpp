#include "study/study_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "campaign/launch_liveness.h"
#include "config/study.h"
#include "core/error.h"
#include "records/status_record.h"
#include "report/run_reader.h"

namespace nexus {
namespace {

StudyRunState state_of(const StatusRecord& status, bool gone) {
  if (!status.end) return gone ? StudyRunState::kStopped : StudyRunState::kRunning;
  if (status.end->exit == ExitCode::kDone) return StudyRunState::kDone;
  return status.end->exit == ExitCode::kStopped ? StudyRunState::kStopped : StudyRunState::kFailed;
}

// What of its own stages is behind the run, by the last step of each, and its last loss.
void add_progress(const std::string& folder, double step_tokens, StudyRunView& view) {
  try {
    const RunHistory history = read_run(folder);
    std::map<int64_t, int64_t> steps;
    for (const StepRecord& row : history.steps) steps[row.stage_index] = row.step;
    for (const auto& [stage, step] : steps) view.tokens_done += static_cast<double>(step) * step_tokens;
    if (!history.evals.empty()) view.loss = history.evals.back().loss;
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

}  // namespace

const char* name_of(StudyRunState state) {
  switch (state) {
    case StudyRunState::kWaiting: return "waiting";
    case StudyRunState::kRunning: return "running";
    case StudyRunState::kStopped: return "stopped";
    case StudyRunState::kFailed: return "failed";
    case StudyRunState::kDone: return "done";
  }
  return "";
}

std::vector<StudyRunView> view_study(const StudySpec& study) {
  const std::vector<StudyRun> runs = runs_of(study);
  std::vector<std::optional<StatusRecord>> statuses;
  std::vector<RunFolder> running;
  for (const StudyRun& run : runs) {
    statuses.push_back(read_status(RunFolder{run.folder}));
    if (statuses.back() && !statuses.back()->end) running.push_back({run.folder});
  }
  const std::vector<bool> gone = launches_gone(running);
  std::vector<StudyRunView> views(runs.size());
  std::vector<Work> works(study.arms.size());
  size_t looked_at = 0;
  for (size_t i = 0; i < runs.size(); ++i) {
    Work& work = works[runs[i].arm];
    if (work.tokens < 0) work = work_of(campaign_of(study, runs[i]).spec);
    views[i].tokens_total = work.tokens;
    if (!statuses[i]) {
      if (runs[i].parent) views[i].text = "waits for " + name_of(study, runs[*runs[i].parent]);
      continue;
    }
    views[i].state = state_of(*statuses[i], !statuses[i]->end && gone[looked_at]);
    if (!statuses[i]->end) ++looked_at;
    views[i].text = statuses[i]->text;
    add_progress(runs[i].folder, work.step_tokens, views[i]);
  }
  return views;
}

std::string status_text(const StudySpec& study, const std::vector<StudyRunView>& views) {
  std::string text = fmt::format("study {}{}{}\n", study.name, study.question.empty() ? "" : " | ", study.question);
  size_t width = 0;
  for (const StudyArm& arm : study.arms) width = std::max(width, arm.name.size());
  double done = 0, total = 0;
  for (const StudyRunView& view : views) done += view.tokens_done, total += view.tokens_total;
  for (size_t arm = 0; arm < study.arms.size(); ++arm)
    text += fmt::format("{:{}}{}\n", study.arms[arm].name, width, seeds_text(study, views, arm));
  const auto finished = std::ranges::count(views, StudyRunState::kDone, &StudyRunView::state);
  text += fmt::format("{} of {} runs done, {:.0f} % of the work\n", finished, views.size(),
                      total > 0 ? 100 * done / total : 0);
  const std::vector<StudyRun> runs = runs_of(study);
  for (size_t i = 0; i < views.size(); ++i)
    if (views[i].state == StudyRunState::kFailed)
      text += fmt::format("{} failed: {}; {}.log\n", name_of(study, runs[i]), views[i].text, runs[i].folder);
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
    row["loss"] = view.loss ? nlohmann::ordered_json(*view.loss) : nlohmann::ordered_json(nullptr);
    rows.push_back(std::move(row));
  }
  return {{"study", study.name}, {"runs", rows}};
}

}  // namespace nexus
