#include "report/run_reader.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "core/files.h"
#include "core/run_folder.h"
#include "records/run_description.h"

namespace nexus {
namespace {

// Keeps one row per stage, by index: a resumed run may write a stage's row again.
template <typename Row>
void put(std::vector<Row>& rows, Row row) {
  const auto at = std::lower_bound(rows.begin(), rows.end(), row.stage_index,
                                   [](const Row& have, int64_t index) { return have.stage_index < index; });
  if (at != rows.end() && at->stage_index == row.stage_index)
    *at = std::move(row);
  else
    rows.insert(at, std::move(row));
}

template <typename Row>
const Row* find_stage(const std::vector<Row>& rows, int64_t stage_index) {
  for (const Row& row : rows)
    if (row.stage_index == stage_index) return &row;
  return nullptr;
}

std::vector<JsonRecord> records_of(const std::string& path) {
  return apply_resumes(read_json_lines(path));
}

void read_ledger(const std::string& path, RunHistory& run) {
  const std::vector<JsonRecord> written = read_json_lines(path);
  // A run that goes on after it was done (a stage appended or lengthened) is not done until it says so again.
  for (const JsonRecord& record : written)
    run.done = record.kind() == kDoneKind || (run.done && record.kind() != kResumeKind);
  for (const JsonRecord& record : apply_resumes(written)) {
    const std::string kind = record.kind();
    if (kind == StageRecord::kKind) put(run.stages, stage_from_json(record));
    if (kind == GrowthRecord::kKind) put(run.growths, growth_from_json(record));
    if (kind == CommitRecord::kKind) put(run.commits, commit_from_json(record));
  }
}

void read_facts(const RunFolder& folder, RunHistory& run) {
  run.facts = nlohmann::json::object();
  if (const std::optional<RunDescription> description = RunDescription::read(folder)) {
    run.facts = description->document();
    run.name = description->name();
    run.arch = description->arch();
    run.words = description->words();
  }
  const auto path = std::filesystem::path(folder.root).lexically_normal();
  if (run.name.empty()) run.name = (path.has_filename() ? path.filename() : path.parent_path().filename()).string();
  if (path_exists(folder.status())) run.status = read_text_file(folder.status());
  while (!run.status.empty() && run.status.back() == '\n') run.status.pop_back();
}

}  // namespace

const GrowthRecord* RunHistory::growth_into(int64_t stage_index) const {
  return find_stage(growths, stage_index);
}
const CommitRecord* RunHistory::account_of(int64_t stage_index) const {
  return find_stage(commits, stage_index);
}

const EvalRecord* RunHistory::growth_eval(int64_t stage_index, const std::string& event) const {
  const EvalRecord* found = nullptr;
  for (const EvalRecord& row : evals) {
    if (row.event != event) continue;
    // Step 0 is the new stage's own beginning; a later step is the old stage's end.
    const int64_t grown_stage = row.step == 0 ? row.stage_index : row.stage_index + 1;
    if (grown_stage == stage_index) found = &row;
  }
  return found;
}

const EvalRecord* RunHistory::first_eval(int64_t stage_index) const {
  return find_stage(evals, stage_index);
}

const EvalRecord* RunHistory::last_eval(int64_t stage_index) const {
  const EvalRecord* found = nullptr;
  for (const EvalRecord& row : evals) {
    const bool of_growth = row.event == "after_growth" || (row.event == "before_growth" && row.step == 0);
    if (row.stage_index == stage_index && !of_growth) found = &row;
  }
  return found;
}

RunHistory read_run(const std::string& folder) {
  const RunFolder names{folder};
  if (!path_exists(folder))
    throw Error(ErrorKind::kData, "there is no such folder", folder, "name a folder that `nexus train` has written");
  if (!path_exists(names.run_json()) && !path_exists(names.ledger()))
    throw Error(ErrorKind::kData, "no run folder: it holds neither run.json nor ledger.jsonl", folder,
                "name a folder that `nexus train` has written");
  RunHistory run;
  run.folder = folder;
  read_facts(names, run);
  for (const JsonRecord& record : records_of(names.metrics()))
    if (record.kind() == StepRecord::kKind) run.steps.push_back(step_from_json(record));
  for (const JsonRecord& record : records_of(names.evals()))
    if (record.kind() == EvalRecord::kKind) run.evals.push_back(eval_from_json(record));
  read_ledger(names.ledger(), run);
  if (!run.stages.empty()) run.arch = run.stages.back().arch;
  return run;
}

}  // namespace nexus
