#include "support/synthetic_run.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/files.h"
#include "core/json_text.h"
#include "core/rng.h"
#include "core/run_folder.h"
#include "records/eval_record.h"
#include "records/ledger_record.h"
#include "records/run_description.h"
#include "records/step_record.h"

namespace nexus {
namespace {

constexpr double kStart = 1.7e9;  // any time will do

class Writer {
 public:
  explicit Writer(const SyntheticRun& run)
      : run_(run), noise_(run.seed, run.name), tokens_(run.inherited_tokens), flops_(run.inherited_flops) {}

  void write(const std::string& folder) {
    for (size_t index = 0; index < run_.stages.size(); ++index) write_stage(static_cast<int64_t>(index));
    if (run_.done)
      append(ledger_, done_record({run_.stages.back().name, static_cast<int64_t>(run_.stages.size()) - 1,
                                   run_.stages.back().steps}));
    const RunFolder names{folder};
    make_folders(folder);
    RunDescription description(run_.name);
    description.describe(run_.name, run_.words, run_.arch, run_.seed, run_.flops_def, "", {});
    description.write(names);
    write_file_durably(names.metrics(), metrics_);
    write_file_durably(names.evals(), evals_);
    write_file_durably(names.ledger(), ledger_);
    write_file_durably(names.status(), run_.done ? "done\n" : "running\n");
  }

 private:
  void write_stage(int64_t index) {
    const SyntheticStage& stage = run_.stages[static_cast<size_t>(index)];
    if (index > 0) write_growth(index);
    write_stage_record(index);
    if (index == 0) write_eval(index, 0, "start");
    for (int64_t step = 1; step <= stage.steps; ++step) {
      tokens_ += run_.tokens_per_step;
      flops_ += stage.flops_per_token * static_cast<double>(run_.tokens_per_step);
      time_ += 1;
      write_step(index, step);
      if (step == stage.steps)
        write_eval(index, step, "end");
      else if (step % run_.eval_every == 0)
        write_eval(index, step, "periodic");
    }
    write_commit(index);
  }

  void append(std::string& file, nlohmann::json record) const {
    record["time"] = time_;
    file += json_text(record) + "\n";
  }

  // A record of the stage, with the number of its steps.
  template <typename Record>
  Record at(int64_t index, int64_t step) const {
    Record record;
    record.stage = run_.stages[static_cast<size_t>(index)].name;
    record.stage_index = index;
    record.step = step;
    if constexpr (!std::is_same_v<Record, GrowthRecord>) record.steps = run_.stages[static_cast<size_t>(index)].steps;
    return record;
  }

  void write_step(int64_t index, int64_t step) {
    auto r = at<StepRecord>(index, step);
    const double share = static_cast<double>(step) / static_cast<double>(r.steps);
    r.tokens = tokens_;
    r.flops = flops_;
    r.loss = run_.loss_at(flops_) + 0.03 * noise_.normal(counter_++);
    r.lr = 3e-4 * std::min(1.0, 20 * share) * (0.55 + 0.45 * std::cos(share * 3.14159265358979));
    r.grad_norm = 0.5;
    r.step_ms = 1000;
    r.tok_per_s = static_cast<double>(run_.tokens_per_step);
    append(metrics_, to_json(r));
  }

  void write_eval(int64_t index, int64_t step, const char* event) {
    // An untrained model knows nothing: ln V.
    const double exact =
        flops_ > 0 ? run_.loss_at(flops_) : std::log(static_cast<double>(std::max<int64_t>(run_.vocab, 10)));
    const bool same_as_before = std::string(event) == "after_growth";
    if (!same_as_before) loss_ = exact + run_.noise * noise_.normal(counter_++);
    auto r = at<EvalRecord>(index, step);
    r.tokens = tokens_;
    r.flops = flops_;
    r.flops_def = run_.flops_def;
    r.event = event;
    r.loss = loss_;
    r.loss_se = run_.loss_se;
    r.windows = run_.windows;
    r.eval_tokens = run_.eval_tokens;
    r.seconds = 3;
    r.valid_digest = run_.valid_digest;
    r.valid_type = run_.valid_type;
    r.tokenizer_digest = run_.tokenizer_digest;
    if (!run_.figure.empty()) r.figures = {{run_.figure, run_.figure_unit, loss_ - 0.5, run_.loss_se, run_.windows}};
    append(evals_, to_json(r, run_.words));
  }

  void write_stage_record(int64_t index) {
    const SyntheticStage& stage = run_.stages[static_cast<size_t>(index)];
    auto r = at<StageRecord>(index, 0);
    r.arch = run_.arch;
    r.params = stage.params;
    r.flops_per_token = stage.flops_per_token;
    r.flops_def = run_.flops_def;
    r.tokens_planned = stage.steps * run_.tokens_per_step;
    if (run_.vocab > 0) r.model["V"] = run_.vocab;
    r.ranks = 2;
    append(ledger_, to_json(r));
  }

  void write_growth(int64_t index) {
    const SyntheticStage& from = run_.stages[static_cast<size_t>(index - 1)];
    write_eval(index, 0, "before_growth");
    auto r = at<GrowthRecord>(index, 0);
    r.from_stage = from.name;
    r.params_before = from.params;
    r.params_after = run_.stages[static_cast<size_t>(index)].params;
    r.init = "zero_rows";
    r.moments = "keep";
    r.max_abs_dlogit = 1.5e-6;
    r.rel_dlogit = 3e-7;
    r.dloss = 2e-8;
    r.new_params = r.params_after - r.params_before;
    append(ledger_, to_json(r));
    write_eval(index, 0, "after_growth");
  }

  void write_commit(int64_t index) {
    const SyntheticStage& stage = run_.stages[static_cast<size_t>(index)];
    auto r = at<CommitRecord>(index, stage.steps);
    r.stage_tokens = stage.steps * run_.tokens_per_step;
    r.stage_flops = stage.flops_per_token * static_cast<double>(r.stage_tokens);
    r.stage_seconds = static_cast<double>(stage.steps);
    r.stage_rank_seconds = 2 * r.stage_seconds;
    r.total_tokens = tokens_;
    r.total_flops = flops_;
    r.inherited_tokens = run_.inherited_tokens;
    r.inherited_flops = run_.inherited_flops;
    r.path = "checkpoints/" + stage.name;
    append(ledger_, to_json(r));
  }

  const SyntheticRun& run_;
  RandomStream noise_;
  uint64_t counter_ = 0;
  int64_t tokens_;
  double flops_, loss_ = 0, time_ = kStart;
  std::string metrics_, evals_, ledger_;
};

}  // namespace

double SyntheticRun::loss_at(double flops) const {
  return floor + scale * std::pow(flops, -exponent);
}

void write_synthetic_run(const SyntheticRun& run, const std::string& folder) {
  Writer(run).write(folder);
}

SyntheticRun run_of_points(SyntheticRun run) {
  run.words = {"point_sets", "points", "point", "samples", "squared error", WorkloadWords::kLoss};
  run.figure = "r2";
  run.figure_unit = "";
  run.tokenizer_digest = "";
  run.vocab = 0;
  return run;
}

SyntheticRun grown_run(const std::string& name, const std::string& arch, double scale, int64_t steps) {
  SyntheticRun run;
  run.name = name;
  run.arch = arch;
  run.scale = scale;
  run.stages = {{"s240", 239'500'000, 1.58e9, steps}, {"s440", 439'600'000, 2.84e9, steps}};
  return run;
}

}  // namespace nexus
