// A run folder (core/run_folder.h) as typed rows, the resume rule applied. The only door between `report` and a run.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace nexus {

// All *_tokens and *_flops that are not called stage_* or inherited_* count from the lineage's very first token.

// One optimizer step (metrics.jsonl).
struct StepRow {
  std::string stage;
  int64_t stage_index = 0, step = 0, tokens = 0;
  double flops = 0, loss = 0, lr = 0, grad_norm = 0, step_ms = 0, tok_per_s = 0;
};

// One evaluation on the validation windows (eval.jsonl).
struct EvalRow {
  std::string stage, event, flops_def;  // event: start, periodic, end, before_growth, after_growth
  int64_t stage_index = 0, step = 0, steps = 0, tokens = 0, windows = 0, eval_tokens = 0, context = 0;
  double flops = 0;
  double loss = 0;     // nats per token, mean over windows
  double loss_se = 0;  // standard error of that mean over windows; NaN where there is one window
  std::string valid_digest, valid_type,
      tokenizer_digest;  // of what it is over; empty where an older nexus wrote the row
  std::optional<double> bits_per_byte;

  double ppl() const;
  double ppl_se() const;  // delta method: ppl * loss_se
};

struct StageRow {  // ledger.jsonl, kind "stage"
  std::string stage, arch, flops_def;
  int64_t stage_index = 0, params = 0, tokens_planned = 0, steps = 0, ranks = 0;
  double flops_per_token = 0;
  nlohmann::json model;
};

struct GrowthRow {  // ledger.jsonl, kind "growth"
  std::string stage, from_stage, init, moments;
  int64_t stage_index = 0, params_before = 0, params_after = 0, dead_new_params = 0, new_params = 0;
  double max_abs_dlogit = 0, rel_dlogit = 0, dloss = 0;
  std::vector<std::string> dead_blocks;
};

struct CommitRow {  // ledger.jsonl, kind "commit": the last of a stage is the stage's account
  std::string stage;
  int64_t stage_index = 0, step = 0, steps = 0, stage_tokens = 0, total_tokens = 0, inherited_tokens = 0;
  double stage_flops = 0, stage_seconds = 0, stage_rank_seconds = 0, total_flops = 0, inherited_flops = 0;
};

// Everything of one run. Rows are in the order in which they happened; `stages`, `growths` and `commits` hold one row
// per stage (the last that was written), by stage_index.
struct RunHistory {
  std::string folder, name, arch, status;
  nlohmann::json facts;  // run.json
  std::vector<StepRow> steps;
  std::vector<EvalRow> evals;
  std::vector<StageRow> stages;
  std::vector<GrowthRow> growths;
  std::vector<CommitRow> commits;
  bool done = false;

  const GrowthRow* growth_into(int64_t stage_index) const;
  const CommitRow* account_of(int64_t stage_index) const;
  // The last evaluation of `event` that belongs to the growth into `stage_index` (before_growth, after_growth).
  const EvalRow* growth_eval(int64_t stage_index, const std::string& event) const;
  // The last evaluation of the stage that growth did not cause; nothing before its first one.
  const EvalRow* last_eval(int64_t stage_index) const;
};

// Throws ErrorKind::kData where `folder` is no run folder or holds malformed records ("file:line" in the error).
RunHistory read_run(const std::string& folder);

}  // namespace nexus
