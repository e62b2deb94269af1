#include "slurm/status.h"

#include <algorithm>
#include <cmath>

#include "accounting/flops.h"
#include "campaign/budget.h"
#include "campaign/committed_state.h"
#include "campaign/launch_liveness.h"
#include "campaign/run_lease.h"
#include "core/ascii.h"
#include "core/error.h"
#include "core/files.h"
#include "core/log.h"
#include "core/run_folder.h"
#include "core/units.h"
#include "model/workload.h"
#include "records/status_record.h"
#include "records/step_record.h"
#include "statistics/quantiles.h"

namespace nexus {
namespace {

constexpr int64_t kTailBytes = 256 << 10;  // some hundred steps
constexpr size_t kRateSteps = 50;

// Where metrics.jsonl stands, and how long its last steps took.
struct Pace {
  Position at{0, 0};
  bool known = false;
  std::optional<double> seconds;
};

Pace read_pace(const std::string& run) {
  const std::string path = RunFolder{run}.metrics();
  Pace pace;
  std::vector<double> times;
  for (const JsonRecord& record : records_from(path, std::max<int64_t>(0, size_of_file(path) - kTailBytes))) {
    const bool is_step = record.kind() == StepRecord::kKind;
    if (!is_step && record.kind() != kResumeKind) continue;
    const Position at = record.position();
    if (at.first != pace.at.first) times.clear();  // another stage, another pace
    pace.at = at;
    pace.known = true;
    if (const auto seconds = step_seconds(record); is_step && seconds) times.push_back(*seconds);
  }
  if (times.size() > kRateSteps) times.erase(times.begin(), times.end() - kRateSteps);
  if (times.empty()) return pace;
  pace.seconds = median(std::move(times));
  return pace;
}

std::string first_line(const std::string& path) {
  if (!path_exists(path)) return "";
  const std::string text = read_text_file(path);
  return text.substr(0, text.find('\n'));
}

// Of stage `index`, which has `steps`.
int64_t committed_steps(const std::optional<TrainState>& state, int64_t index, int64_t steps) {
  if (!state || index > state->stage_index) return 0;
  return index < state->stage_index ? steps : std::min(state->step, steps);
}

// A state that this build cannot read leaves the rest of the folder to be looked at.
std::optional<TrainState> committed_or_none(const std::string& run) {
  try {
    return committed_state(RunFolder{run});
  } catch (const Error& error) {
    warn("slurm: {}", error.what());
    return std::nullopt;
  }
}

std::vector<StageView> view_stages(const CampaignSpec& spec, const std::string& run, const Pace& pace,
                                   const std::string& status) {
  const std::optional<TrainState> committed = committed_or_none(run);
  std::vector<StageView> stages;
  for (size_t i = 0; i < spec.stages.size(); ++i) {
    StageView stage;
    stage.name = spec.stages[i].name;
    stage.steps = spec.steps_of_stage(i);
    const auto index = static_cast<int64_t>(i);
    stage.steps_committed = committed_steps(committed, index, stage.steps);
    // A start makes up for an evaluation before its first step, and may say so in a checkpoint much later.
    const bool gone_on = pace.known && committed && pace.at > Position{committed->stage_index, committed->step};
    stage.owes_evaluation = committed && committed->stage_index == index && committed->eval_pending && !gone_on;
    stage.steps_done = stage.steps_committed;
    if (pace.known && index < pace.at.first) stage.steps_done = stage.steps;
    if (pace.known && index == pace.at.first) stage.steps_done = std::max(stage.steps_done, pace.at.second);
    stage.tokens = spec.stages[i].tokens;
    stage.tokens_done = std::min(stage.tokens, stage.steps_done * spec.batch.global_tokens);
    const bool begun = stage.steps_done > 0 || (pace.known && index == pace.at.first);
    const bool done = stage.steps_committed == stage.steps && !stage.owes_evaluation;
    stage.state = done ? "done" : !begun ? "waiting" : "stopped";
    if (stage.state == "stopped" && status.starts_with(StatusRecord::kRunning)) stage.state = "running";
    stages.push_back(std::move(stage));
  }
  return stages;
}

std::optional<double> seconds_left(const CampaignSpec& spec, const std::vector<StageView>& stages, const Pace& pace) {
  if (!pace.seconds || pace.at.first >= static_cast<int64_t>(stages.size())) return std::nullopt;
  const FlopsDefinition definition = flops_definition(spec.account.flops_def);
  const auto cost = [&](size_t i) {
    return training_flops_per_token(spec.model_of_stage(i), spec.data.context, definition);
  };
  const double here = cost(static_cast<size_t>(pace.at.first));
  double seconds = 0;
  for (size_t i = 0; i < stages.size(); ++i)
    seconds += static_cast<double>(stages[i].steps - stages[i].steps_done) * *pace.seconds * cost(i) / here;
  return seconds;
}

std::vector<JobView> view_jobs(const std::string& run, const std::vector<QueuedJob>& queue) {
  const JobBook book = read_job_book(run);
  const auto booked_as = [&](const QueuedJob& job) -> const BookedJob* {
    for (const BookedJob& booked : book.jobs)
      if (is_of_job(job.id, booked.id)) return &booked;
    return nullptr;
  };
  std::vector<JobView> views;
  const std::vector<QueuedJob> ours = jobs_of_run(queue, run, book);
  // Of the last chain also those that Slurm has forgotten.
  size_t first = book.jobs.size();
  while (first > 0 && !book.jobs[first - 1].after.empty()) --first;
  if (first > 0) --first;
  for (size_t i = first; i < book.jobs.size(); ++i) {
    const BookedJob& booked = book.jobs[i];
    if (std::any_of(ours.begin(), ours.end(), [&](const QueuedJob& job) { return is_of_job(job.id, booked.id); }))
      continue;
    JobView view{booked.stage, booked.after, {}};
    view.job.id = booked.id;
    view.job.state = "not in the queue";
    views.push_back(view);
  }
  for (const QueuedJob& job : ours) {
    const BookedJob* booked = booked_as(job);
    views.push_back({booked ? booked->stage : name_of_comment(job.comment), booked ? booked->after : "", job});
  }
  return views;
}

std::vector<SpentView> view_spent(const CampaignSpec& spec, const std::vector<LeaseRecord>& leases) {
  const Spending spending = spending_of(usage_of(leases), spec.account);
  std::vector<SpentView> spent = {{"gpu_hours", spending.gpu_hours, spec.budget.gpu_hours},
                                  {"node_hours", spending.node_hours, spec.budget.node_hours}};
  if (spending.kwh) spent.push_back({"kwh", *spending.kwh, spec.budget.kwh});
  if (spending.money) spent.push_back({"money", *spending.money, spec.budget.money});
  return spent;
}

}  // namespace

std::string table_text(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}", row[i], widths[i] + 2);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::vector<bool> runs_without_process(const std::vector<std::string>& runs, const std::vector<QueuedJob>& queue) {
  std::vector<RunFolder> folders;
  std::vector<size_t> places;
  for (size_t i = 0; i < runs.size(); ++i) {
    if (!first_line(RunFolder{runs[i]}.status()).starts_with(StatusRecord::kRunning)) continue;
    folders.push_back({runs[i]});
    places.push_back(i);
  }
  const auto vouched = [&](const LeaseRecord& lease) {
    return std::any_of(queue.begin(), queue.end(),
                       [&](const QueuedJob& job) { return job.id == lease.job.id && job.state == "RUNNING"; });
  };
  const std::vector<bool> answers = launches_gone(folders, vouched);
  std::vector<bool> gone(runs.size(), false);
  for (size_t i = 0; i < places.size(); ++i) gone[places[i]] = answers[i];
  return gone;
}

RunView view_run(const CampaignSpec& spec, const std::string& run, const std::vector<QueuedJob>& queue, bool gone) {
  RunView view;
  view.run = run;
  view.campaign = spec.name;
  view.unit = workload(spec.model.workload).unit();
  view.status = first_line(RunFolder{run}.status());
  if (gone) view.status = status_of_gone(view.status);
  const std::vector<LeaseRecord> leases = read_leases(RunFolder{run});
  view.starts = leases.empty() ? 0 : leases.back().generation;
  const Pace pace = read_pace(run);
  view.stages = view_stages(spec, run, pace, view.status);
  view.jobs = view_jobs(run, queue);
  view.seconds_per_step = pace.seconds;
  view.seconds_left = seconds_left(spec, view.stages, pace);
  view.spent = view_spent(spec, leases);
  return view;
}

std::string run_text(const RunView& view) {
  std::string text = fmt::format("run {} | campaign {} | starts {}\n", view.run, view.campaign, view.starts);
  text += "status " + (view.status.empty() ? std::string("not started") : view.status) + "\n\n";
  std::string unit = view.unit;
  std::transform(unit.begin(), unit.end(), unit.begin(), to_upper);
  std::vector<std::vector<std::string>> rows = {{"STAGE", "STATE", "STEPS", "COMMITTED", unit}};
  for (const StageView& stage : view.stages)
    rows.push_back({stage.name, stage.state, fmt::format("{} of {}", stage.steps_done, stage.steps),
                    fmt::format("{}", stage.steps_committed),
                    fmt::format("{} of {}", format_count(stage.tokens_done), format_count(stage.tokens))});
  text += table_text(rows);
  for (const StageView& stage : view.stages)
    if (stage.owes_evaluation)
      text += fmt::format("{} owes the evaluation of step {}: {} start makes up for it\n", stage.name,
                          stage.steps_committed, view.status.starts_with(StatusRecord::kRunning) ? "this" : "its next");
  text += "\n";
  rows = {{"JOB", "STAGE", "STATE", "REASON", "RUNS", "LEFT", "NODES"}};
  for (const JobView& view_of : view.jobs) {
    const QueuedJob& job = view_of.job;
    rows.push_back({job.id, view_of.stage.empty() ? "all" : view_of.stage, job.state, job.reason, job.elapsed, job.left,
                    job.nodes});
  }
  text += view.jobs.empty() ? "no jobs\n" : table_text(rows);
  text += "\n";
  if (view.seconds_left)
    text += fmt::format("time left {} | at {:.3g} s a step, without queueing\n", format_seconds(*view.seconds_left),
                        *view.seconds_per_step);
  std::string line = "spent";
  for (const SpentView& spent : view.spent) {
    line += fmt::format("{} {} {:.4g}", line == "spent" ? "" : " |", spent.what, spent.spent);
    if (spent.limit) line += fmt::format(" of {:.4g}", *spent.limit);
  }
  return text + line + "\n";
}

nlohmann::ordered_json run_json(const RunView& view) {
  using Json = nlohmann::ordered_json;
  const auto or_null = [](const auto& value) { return value ? Json(*value) : Json(); };
  const auto text_or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  Json stages = Json::array(), jobs = Json::array(), spent = Json::object();
  for (const StageView& stage : view.stages)
    stages.push_back({{"name", stage.name},
                      {"state", stage.state},
                      {"steps", stage.steps},
                      {"steps_done", stage.steps_done},
                      {"steps_committed", stage.steps_committed},
                      {"tokens", stage.tokens},
                      {"tokens_done", stage.tokens_done},
                      {"owes_evaluation", stage.owes_evaluation}});
  for (const JobView& job : view.jobs)
    jobs.push_back({{"id", job.job.id},
                    {"stage", text_or_null(job.stage)},
                    {"after", text_or_null(job.after)},
                    {"state", job.job.state},
                    {"reason", text_or_null(job.job.reason)},
                    {"elapsed", text_or_null(job.job.elapsed)},
                    {"left", text_or_null(job.job.left)},
                    {"start", text_or_null(job.job.start)},
                    {"nodes", text_or_null(job.job.nodes)}});
  for (const SpentView& entry : view.spent)
    spent[entry.what] = {{"spent", entry.spent}, {"limit", or_null(entry.limit)}};
  return {{"run", view.run},
          {"campaign", view.campaign},
          {"status", view.status},
          {"starts", view.starts},
          {"unit", view.unit},
          {"stages", stages},
          {"jobs", jobs},
          {"seconds_per_step", or_null(view.seconds_per_step)},
          {"seconds_left", or_null(view.seconds_left)},
          {"spent", spent}};
}

}  // namespace nexus
