#include "train/run_records.h"

#include <cmath>

#include "core/files.h"
#include "core/json_text.h"
#include "core/log.h"
#include "core/units.h"
#include "system/clock.h"
#include "train/earlier_records.h"

namespace nexus {
namespace {

using nlohmann::json;

constexpr double kLineSeconds = 5;
constexpr double kGiB = 1 << 30;

json position(const TrainState& state, const char* kind) {
  return {{"kind", kind}, {"stage", state.stage()}, {"stage_index", state.stage_index}, {"step", state.step}};
}

// Relative to the run folder, so that a moved folder stays readable.
std::string inside(const RunFolder& run, const std::string& path) {
  return path.rfind(run.root + "/", 0) == 0 ? path.substr(run.root.size() + 1) : path;
}

// Whether STATUS says how this launch has ended. The other ranks write that if this one was stopped for too long;
// should it wake before it is killed, it must not say again that it runs.
bool told_end(const std::string& path, const LaunchMark& launch) {
  if (launch.generation == 0 || !path_exists(path)) return false;
  const std::string line = read_text_file(path);
  return line.find(" | exit ") != line.npos && line.ends_with(launch.status_groups() + "\n");
}

}  // namespace

std::string LaunchMark::status_groups(std::optional<int> exit_code) const {
  std::string text = exit_code ? fmt::format(" | exit {}", *exit_code) : "";
  text += fmt::format(" | generation {}", generation);
  if (!job.empty()) text += fmt::format(" | job {} restart {}", job, restart);
  return text;
}

RunRecords::RunRecords(RunFolder run, bool is_writer, std::string flops_def, std::function<double()> clock)
    : run_(std::move(run)),
      is_writer_(is_writer),
      flops_def_(std::move(flops_def)),
      clock_(clock ? std::move(clock) : steady_seconds) {}

void RunRecords::append(const std::string& path, json record) {
  if (!is_writer_) return;
  record["time"] = unix_seconds();
  record["generation"] = launch_.generation;
  append_line(path, json_text(record));
}

void RunRecords::step(const TrainState& state, const StepRecord& r) {
  if (!is_writer_) return;
  json record = position(state, "step");
  record.update({{"steps", r.steps},
                 {"tokens", state.total_tokens()},
                 {"flops", state.total_flops()},
                 {"loss", r.loss},
                 {"lr", r.learning_rate},
                 {"grad_norm", r.grad_norm},
                 {"step_ms", r.seconds * 1e3},
                 {"data_ms", r.data_seconds * 1e3},
                 {"tok_per_s", r.tokens_per_second}});
  if (r.mfu >= 0) record["mfu_pct"] = r.mfu * 100;
  if (r.device_bytes) record["mem_gib"] = static_cast<double>(*r.device_bytes) / kGiB;
  if (!r.updated) record["updated"] = false;
  append(run_.metrics(), record);
  // metrics.jsonl has every step; people get a line every few seconds, and the first and the last.
  const double now = clock_();
  if (last_line_seconds_ && now - *last_line_seconds_ < kLineSeconds && r.step != r.steps && r.step != 1) return;
  last_line_seconds_ = now;
  LineBuilder line(fmt::format("stage {} step {} of {}", state.stage(), r.step, r.steps));
  line.group("tokens {}", format_count(state.total_tokens())).group("loss {:.4f}", r.loss);
  line.group("lr {:.2e}", r.learning_rate)
      .group("grad_norm {:.3f}", r.grad_norm)
      .group("step_ms {:.1f}", r.seconds * 1e3);
  line.group("tok_per_s {} {} {}", format_count(std::llround(r.tokens_per_second)),
             r.device_bytes ? "per_gpu" : "per_rank", format_count(std::llround(r.tokens_per_second / r.ranks)));
  if (r.mfu >= 0) line.group("mfu_pct {:.1f} flops_def {}", r.mfu * 100, r.flops_def);
  if (r.device_bytes) line.group("mem_gib {:.1f}", static_cast<double>(*r.device_bytes) / kGiB);
  line.group("data_pct {:.1f}", 100 * r.data_seconds / std::max(r.seconds, 1e-9));
  line.group("eta {}", format_seconds(r.eta_seconds));
  log("{}", line.str());
  status(fmt::format("running stage {} step {} of {} loss {:.4f}", state.stage(), r.step, r.steps, r.loss));
}

void RunRecords::eval(const TrainState& state, int64_t steps, const EvalRecord& r) {
  if (!is_writer_) return;
  json record = position(state, "eval");
  record.update({{"steps", steps},
                 {"tokens", state.total_tokens()},
                 {"flops", state.total_flops()},
                 {"flops_def", flops_def_},
                 {"event", r.event},
                 {"loss", r.loss},
                 {"loss_se", r.loss_se},
                 {"windows", r.windows},
                 {"ppl", std::exp(r.loss)},
                 {"bits_per_byte", r.bits_per_byte < 0 ? json() : json(r.bits_per_byte)},
                 {"eval_tokens", r.tokens},
                 {"context", r.windows > 0 ? r.tokens / r.windows : 0},
                 {"seconds", r.seconds}});
  // What the perplexity is over: figures over other tokens do not compare.
  if (!state.data.valid.empty()) record["valid_digest"] = state.data.valid;
  if (!state.data.valid_type.empty()) record["valid_type"] = state.data.valid_type;
  if (!state.data.tokenizer.empty()) record["tokenizer_digest"] = state.data.tokenizer;
  append(run_.evals(), record);
  LineBuilder line(fmt::format("stage {} eval {}", state.stage(), state.step));
  std::string figures = fmt::format("loss {:.4f}", r.loss);
  if (std::isfinite(r.loss_se)) figures += fmt::format(" se {:.4f}", r.loss_se);
  figures += fmt::format(" ppl {:.2f}", std::exp(r.loss));
  if (r.bits_per_byte >= 0) figures += fmt::format(" bits_per_byte {:.3f}", r.bits_per_byte);
  line.group("{}", figures).group("tokens {}", format_count(r.tokens)).group("seconds {:.1f}", r.seconds);
  log("{}", line.str());
}

void RunRecords::stage(const TrainState& state, int64_t params, double flops_per_token, int64_t tokens_planned,
                       int64_t steps, int ranks) {
  json record = position(state, "stage");
  record.update({{"arch", state.model.arch},
                 {"params", params},
                 {"flops_per_token", flops_per_token},
                 {"flops_def", flops_def_},
                 {"tokens_planned", tokens_planned},
                 {"steps", steps},
                 {"model", to_json(state.model)},
                 {"ranks", ranks}});
  append(run_.ledger(), record);
  log("stage {} {} | params {} | steps {} tokens {} | flops_per_token {:.4g} flops_def {}", state.stage(),
      state.step == 0 ? "begins" : "goes on as changed", format_count(params), steps, format_count(tokens_planned),
      flops_per_token, flops_def_);
}

void RunRecords::growth(const TrainState& state, const std::string& from_stage, int64_t params_before,
                        int64_t params_after, const GrowthOptions& options, const GrowthCheck& check) {
  json record = position(state, "growth");
  record.update({{"from_stage", from_stage},
                 {"params_before", params_before},
                 {"params_after", params_after},
                 {"init", name_of(options.init)},
                 {"moments", name_of(options.moments)},
                 {"max_abs_dlogit", check.max_abs_dlogit},
                 {"rel_dlogit", check.relative_dlogit},
                 {"dloss", check.loss_after - check.loss_before},
                 {"new_params", check.new_params},
                 {"dead_new_params", check.dead_params},
                 {"unmoved_new_params", check.unmoved_params},
                 {"dead_blocks", check.dead_blocks}});
  append(run_.ledger(), record);
  LineBuilder line(fmt::format("stage {} grow from {}", state.stage(), from_stage));
  line.group("params {} to {}", format_count(params_before), format_count(params_after));
  line.group("max_abs_dlogit {:.1e} relative {:.1e} dloss {:+.1e}", check.max_abs_dlogit, check.relative_dlogit,
             check.loss_after - check.loss_before);
  line.group("dead_new_params {} of {} unmoved {}", check.dead_params, check.new_params, check.unmoved_params);
  line.group("moments {}", name_of(options.moments));
  log("{}", line.str());
}

void RunRecords::append_account(const TrainState& state, int64_t steps, const std::string& path) {
  const StageAccount& account = state.stages.back();
  json record = position(state, "commit");
  record.update({{"steps", steps},
                 {"stage_tokens", account.tokens},
                 {"stage_flops", account.flops},
                 {"stage_seconds", account.seconds},
                 {"stage_rank_seconds", account.rank_seconds},
                 {"total_tokens", state.total_tokens()},
                 {"total_flops", state.total_flops()},
                 {"inherited_tokens", state.inherited_tokens},
                 {"inherited_flops", state.inherited_flops},
                 {"path", inside(run_, path)}});
  append(run_.ledger(), record);
}

void RunRecords::commit(const TrainState& state, int64_t steps, const std::string& path, int64_t size_bytes,
                        double seconds) {
  append_account(state, steps, path);
  sync();
  log("stage {} save {} | gb {:.3g} | seconds {:.2f} | path {}", state.stage(), state.step,
      static_cast<double>(size_bytes) / 1e9, seconds, inside(run_, path));
}

void RunRecords::begin() {
  if (!is_writer_) return;
  const auto all = files();
  if (const std::string kept = set_aside(run_, {all.begin(), all.end()}); !kept.empty())
    log("records of a start that has committed nothing are kept | path {}", inside(run_, kept));
  append(run_.ledger(), {{"kind", "begin"}, {"job", launch_.job}, {"restart", launch_.restart}});
}

void RunRecords::resume(const TrainState& state, int64_t steps, const std::string& path) {
  json record = position(state, "resume");
  record.update({{"job", launch_.job}, {"restart", launch_.restart}});
  for (const std::string& file : files()) {
    if (is_writer_) end_torn_line(file);
    append(file, record);
  }
  // Again, since a crash between the commit and its record may have lost it.
  append_account(state, steps, path);
  log("stage {} resume at step {} | tokens {} | path {}", state.stage(), state.step, format_count(state.total_tokens()),
      inside(run_, path));
}

void RunRecords::change(const TrainState& state, const std::string& key, const std::string& text) {
  json record = position(state, "change");
  record.update({{"key", key}, {"change", text}});
  append(run_.ledger(), record);
}

void RunRecords::sync() const {
  if (!is_writer_) return;
  for (const std::string& file : files())
    if (path_exists(file)) fsync_path(file);
}

void RunRecords::done(const TrainState& state) {
  append(run_.ledger(), position(state, "done"));
}

void RunRecords::spent(const TrainState& state, const json& figures, const std::string& line) {
  json record = position(state, "spent");
  record.update(figures);
  append(run_.ledger(), record);
  if (is_writer_ && !line.empty()) log("{}", line);
}

void RunRecords::status(const std::string& text, std::optional<int> exit_code) {
  if (!is_writer_ || (!exit_code && told_end(run_.status(), launch_))) return;
  replace_file(run_.status(), text + launch_.status_groups(exit_code) + "\n");
}

}  // namespace nexus
