#include "report/run_reader.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "core/error.h"
#include "core/files.h"
#include "core/run_folder.h"
#include "report/json_lines.h"

namespace nexus {
namespace {

StepRow step_row(const JsonRecord& record) {
  StepRow row;
  row.stage = record.text("stage");
  row.stage_index = record.count("stage_index");
  row.step = record.count("step");
  row.tokens = record.count("tokens");
  row.flops = record.number("flops");
  row.loss = record.number("loss");
  row.lr = record.number("lr");
  row.grad_norm = record.number("grad_norm");
  row.step_ms = record.number("step_ms");
  row.tok_per_s = record.number("tok_per_s");
  return row;
}

EvalRow eval_row(const JsonRecord& record) {
  EvalRow row;
  row.stage = record.text("stage");
  row.event = record.text("event");
  row.flops_def = record.text("flops_def");
  row.stage_index = record.count("stage_index");
  row.step = record.count("step");
  row.steps = record.count("steps");
  row.tokens = record.count("tokens");
  row.windows = record.count("windows");
  row.eval_tokens = record.count("eval_tokens");
  row.flops = record.number("flops");
  row.loss = record.number("loss");
  row.loss_se = row.windows > 1 ? record.number("loss_se") : std::numeric_limits<double>::quiet_NaN();
  row.context = row.windows > 0 ? row.eval_tokens / row.windows : 0;
  if (record.has("valid_digest")) row.valid_digest = record.text("valid_digest");
  if (record.has("valid_type")) row.valid_type = record.text("valid_type");
  if (record.has("tokenizer_digest")) row.tokenizer_digest = record.text("tokenizer_digest");
  if (record.has("bits_per_byte")) row.bits_per_byte = record.number("bits_per_byte");
  return row;
}

StageRow stage_row(const JsonRecord& record) {
  StageRow row;
  row.stage = record.text("stage");
  row.arch = record.text("arch");
  row.flops_def = record.text("flops_def");
  row.stage_index = record.count("stage_index");
  row.params = record.count("params");
  row.tokens_planned = record.count("tokens_planned");
  row.steps = record.count("steps");
  row.ranks = record.count("ranks");
  row.flops_per_token = record.number("flops_per_token");
  row.model = record.value().value("model", nlohmann::json::object());
  return row;
}

GrowthRow growth_row(const JsonRecord& record) {
  GrowthRow row;
  row.stage = record.text("stage");
  row.from_stage = record.text("from_stage");
  row.init = record.text("init");
  row.moments = record.text("moments");
  row.stage_index = record.count("stage_index");
  row.params_before = record.count("params_before");
  row.params_after = record.count("params_after");
  row.dead_new_params = record.count("dead_new_params");
  row.new_params = record.count("new_params");
  row.max_abs_dlogit = record.number("max_abs_dlogit");
  row.rel_dlogit = record.number("rel_dlogit");
  row.dloss = record.number("dloss");
  row.dead_blocks = record.texts("dead_blocks");
  return row;
}

CommitRow commit_row(const JsonRecord& record) {
  CommitRow row;
  row.stage = record.text("stage");
  row.stage_index = record.count("stage_index");
  row.step = record.count("step");
  row.steps = record.count("steps");
  row.stage_tokens = record.count("stage_tokens");
  row.stage_flops = record.number("stage_flops");
  row.stage_seconds = record.number("stage_seconds");
  row.stage_rank_seconds = record.number("stage_rank_seconds");
  row.total_tokens = record.count("total_tokens");
  row.total_flops = record.number("total_flops");
  row.inherited_tokens = record.count("inherited_tokens");
  row.inherited_flops = record.number("inherited_flops");
  return row;
}

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
    run.done = record.kind() == "done" || (run.done && record.kind() != "resume");
  for (const JsonRecord& record : apply_resumes(written)) {
    const std::string kind = record.kind();
    if (kind == "stage") put(run.stages, stage_row(record));
    if (kind == "growth") put(run.growths, growth_row(record));
    if (kind == "commit") put(run.commits, commit_row(record));
  }
}

void read_facts(const RunFolder& folder, RunHistory& run) {
  run.facts = nlohmann::json::object();
  if (path_exists(folder.run_json())) {
    run.facts = nlohmann::json::parse(read_text_file(folder.run_json()), nullptr, /*allow_exceptions=*/false);
    if (!run.facts.is_object())
      throw Error(ErrorKind::kData, "malformed run.json: no JSON object", folder.run_json(),
                  "restore the file from a copy");
  }
  const auto text_fact = [&run](const char* key) {
    const auto found = run.facts.find(key);
    return found != run.facts.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  run.name = text_fact("name");
  run.arch = text_fact("arch");
  const auto path = std::filesystem::path(folder.root).lexically_normal();
  if (run.name.empty()) run.name = (path.has_filename() ? path.filename() : path.parent_path().filename()).string();
  if (path_exists(folder.status())) run.status = read_text_file(folder.status());
  while (!run.status.empty() && run.status.back() == '\n') run.status.pop_back();
}

}  // namespace

double EvalRow::ppl() const {
  return std::exp(loss);
}
double EvalRow::ppl_se() const {
  return ppl() * loss_se;
}

const GrowthRow* RunHistory::growth_into(int64_t stage_index) const {
  return find_stage(growths, stage_index);
}
const CommitRow* RunHistory::account_of(int64_t stage_index) const {
  return find_stage(commits, stage_index);
}

const EvalRow* RunHistory::growth_eval(int64_t stage_index, const std::string& event) const {
  const EvalRow* found = nullptr;
  for (const EvalRow& row : evals) {
    if (row.event != event) continue;
    // Step 0 is the new stage's own beginning; a later step is the old stage's end.
    const int64_t grown_stage = row.step == 0 ? row.stage_index : row.stage_index + 1;
    if (grown_stage == stage_index) found = &row;
  }
  return found;
}

const EvalRow* RunHistory::last_eval(int64_t stage_index) const {
  const EvalRow* found = nullptr;
  for (const EvalRow& row : evals) {
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
    if (record.kind() == "step") run.steps.push_back(step_row(record));
  for (const JsonRecord& record : records_of(names.evals()))
    if (record.kind() == "eval") run.evals.push_back(eval_row(record));
  read_ledger(names.ledger(), run);
  if (!run.stages.empty()) run.arch = run.stages.back().arch;
  return run;
}

}  // namespace nexus
