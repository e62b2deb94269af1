#include "support/synthetic_run.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/rng.h"
#include "core/run_folder.h"

namespace nexus {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kStart = 1.7e9;  // any time will do

class Writer {
 public:
  explicit Writer(const SyntheticRun& run)
      : run_(run), noise_(run.seed, run.name), tokens_(run.inherited_tokens), flops_(run.inherited_flops) {}

  void write(const std::string& folder) {
    for (size_t index = 0; index < run_.stages.size(); ++index) write_stage(static_cast<int64_t>(index));
    if (run_.done) ledger_ += Json{{"kind", "done"}, {"time", time_}}.dump() + "\n";
    const RunFolder names{folder};
    make_folders(folder);
    write_file_durably(names.run_json(), Json{{"name", run_.name}, {"arch", run_.arch}}.dump(2) + "\n");
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

  void write_step(int64_t index, int64_t step) {
    const SyntheticStage& stage = run_.stages[static_cast<size_t>(index)];
    const double share = static_cast<double>(step) / static_cast<double>(stage.steps);
    const double lr = 3e-4 * std::min(1.0, 20 * share) * (0.55 + 0.45 * std::cos(share * 3.14159265358979));
    metrics_ += Json{{"kind", "step"},
                     {"stage", stage.name},
                     {"stage_index", index},
                     {"step", step},
                     {"steps", stage.steps},
                     {"tokens", tokens_},
                     {"flops", flops_},
                     {"loss", run_.loss_at(flops_) + 0.03 * noise_.normal(counter_++)},
                     {"lr", lr},
                     {"grad_norm", 0.5},
                     {"step_ms", 1000.0},
                     {"tok_per_s", static_cast<double>(run_.tokens_per_step)},
                     {"time", time_}}
                    .dump() +
                "\n";
  }

  void write_eval(int64_t index, int64_t step, const char* event) {
    const SyntheticStage& stage = run_.stages[static_cast<size_t>(index)];
    // An untrained model knows nothing: ln V.
    const double exact = flops_ > 0 ? run_.loss_at(flops_) : std::log(static_cast<double>(run_.vocab));
    const bool same_as_before = std::string(event) == "after_growth";
    if (!same_as_before) loss_ = exact + run_.noise * noise_.normal(counter_++);
    Json row{{"kind", "eval"},
             {"stage", stage.name},
             {"stage_index", index},
             {"step", step},
             {"steps", stage.steps},
             {"tokens", tokens_},
             {"flops", flops_},
             {"flops_def", run_.flops_def},
             {"event", event},
             {"loss", loss_},
             {"loss_se", run_.loss_se},
             {"windows", run_.windows},
             {"ppl", std::exp(loss_)},
             {"bits_per_byte", nullptr},
             {"eval_tokens", run_.eval_tokens},
             {"seconds", 3.0},
             {"time", time_}};
    if (!run_.valid_digest.empty()) row["valid_digest"] = run_.valid_digest;
    if (!run_.valid_type.empty()) row["valid_type"] = run_.valid_type;
    if (!run_.tokenizer_digest.empty()) row["tokenizer_digest"] = run_.tokenizer_digest;
    evals_ += row.dump() + "\n";
  }

  void write_stage_record(int64_t index) {
    const SyntheticStage& stage = run_.stages[static_cast<size_t>(index)];
    ledger_ += Json{{"kind", "stage"},
                    {"stage", stage.name},
                    {"stage_index", index},
                    {"arch", run_.arch},
                    {"params", stage.params},
                    {"flops_per_token", stage.flops_per_token},
                    {"flops_def", run_.flops_def},
                    {"tokens_planned", stage.steps * run_.tokens_per_step},
                    {"steps", stage.steps},
                    {"model", Json{{"V", run_.vocab}}},
                    {"ranks", 2},
                    {"time", time_}}
                   .dump() +
               "\n";
  }

  void write_growth(int64_t index) {
    const SyntheticStage& from = run_.stages[static_cast<size_t>(index - 1)];
    const SyntheticStage& to = run_.stages[static_cast<size_t>(index)];
    write_eval(index, 0, "before_growth");
    ledger_ += Json{{"kind", "growth"},
                    {"stage", to.name},
                    {"stage_index", index},
                    {"from_stage", from.name},
                    {"params_before", from.params},
                    {"params_after", to.params},
                    {"init", "zero_rows"},
                    {"max_abs_dlogit", 1.5e-6},
                    {"rel_dlogit", 3e-7},
                    {"dloss", 2e-8},
                    {"dead_new_params", 0},
                    {"new_params", to.params - from.params},
                    {"dead_blocks", Json::array()},
                    {"moments", "keep"},
                    {"time", time_}}
                   .dump() +
               "\n";
    write_eval(index, 0, "after_growth");
  }

  void write_commit(int64_t index) {
    const SyntheticStage& stage = run_.stages[static_cast<size_t>(index)];
    const int64_t stage_tokens = stage.steps * run_.tokens_per_step;
    const auto seconds = static_cast<double>(stage.steps);
    ledger_ += Json{{"kind", "commit"},
                    {"stage", stage.name},
                    {"stage_index", index},
                    {"step", stage.steps},
                    {"steps", stage.steps},
                    {"stage_tokens", stage_tokens},
                    {"stage_flops", stage.flops_per_token * static_cast<double>(stage_tokens)},
                    {"stage_seconds", seconds},
                    {"stage_rank_seconds", 2 * seconds},
                    {"total_tokens", tokens_},
                    {"total_flops", flops_},
                    {"inherited_tokens", run_.inherited_tokens},
                    {"inherited_flops", run_.inherited_flops},
                    {"path", "checkpoints/" + stage.name},
                    {"time", time_}}
                   .dump() +
               "\n";
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

SyntheticRun grown_run(const std::string& name, const std::string& arch, double scale, int64_t steps) {
  SyntheticRun run;
  run.name = name;
  run.arch = arch;
  run.scale = scale;
  run.stages = {{"s240", 239'500'000, 1.58e9, steps}, {"s440", 439'600'000, 2.84e9, steps}};
  return run;
}

}  // namespace nexus
