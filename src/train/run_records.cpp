#include "train/run_records.h"

#include <cmath>

#include "core/files.h"
#include "core/host.h"
#include "core/json_text.h"
#include "core/log.h"
#include "core/units.h"
#include "model/workload.h"
#include "system/clock.h"
#include "train/earlier_records.h"

namespace nexus {
namespace {

using nlohmann::json;

constexpr double kLineSeconds = 5;

RecordPlace place_of(const TrainState& state) {
  return {state.stage(), state.stage_index, state.step};
}

void place_at(RecordPlace& record, const TrainState& state) {
  record = place_of(state);
}

WorkloadWords words_of(const TrainState& state) {
  return workload(state.model.workload).words();
}

// Relative to the run folder, so that a moved folder stays readable.
std::string inside(const RunFolder& run, const std::string& path) {
  return path.rfind(run.root + "/", 0) == 0 ? path.substr(run.root.size() + 1) : path;
}

}  // namespace

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

void RunRecords::step(const TrainState& state, StepRecord r, int ranks, double eta_seconds) {
  if (!is_writer_) return;
  place_at(r, state);
  r.tokens = state.total_tokens();
  r.flops = state.total_flops();
  append(run_.metrics(), to_json(r));
  if (events_) events_->add(r.tokens, unix_seconds(), scalars_of(r));
  // metrics.jsonl has every step; people get a line every few seconds, and the first and the last.
  const double now = clock_();
  if (last_line_seconds_ && now - *last_line_seconds_ < kLineSeconds && r.step != r.steps && r.step != 1) return;
  last_line_seconds_ = now;
  const WorkloadWords words = words_of(state);
  LineBuilder line(fmt::format("stage {} step {} of {}", r.stage, r.step, r.steps));
  line.group("{} {}", words.unit, format_count(r.tokens)).group("loss {}", words.loss_text(r.loss));
  line.group("lr {:.2e}", r.lr).group("grad_norm {:.3f}", r.grad_norm).group("step_ms {:.1f}", r.step_ms);
  line.group("{}_per_s {} {} {}", words.short_unit, format_count(std::llround(r.tok_per_s)),
             r.mem_gib ? "per_gpu" : "per_rank", format_count(std::llround(r.tok_per_s / ranks)));
  if (r.mfu_pct) line.group("mfu_pct {:.1f} flops_def {}", *r.mfu_pct, flops_def_);
  if (r.mem_gib) line.group("mem_gib {:.1f}", *r.mem_gib);
  line.group("data_pct {:.1f}", 100 * r.data_ms / std::max(r.step_ms, 1e-6));
  line.group("eta {}", format_seconds(eta_seconds));
  log("{}", line.str());
  status(fmt::format("{} stage {} step {} of {} loss {}", StatusRecord::kRunning, r.stage, r.step, r.steps,
                     words.loss_text(r.loss)));
}

void RunRecords::eval(const TrainState& state, int64_t steps, EvalRecord r) {
  if (!is_writer_) return;
  place_at(r, state);
  r.steps = steps;
  r.tokens = state.total_tokens();
  r.flops = state.total_flops();
  r.flops_def = flops_def_;
  r.valid_digest = state.data.valid;
  r.valid_type = state.data.valid_type;
  r.tokenizer_digest = state.data.tokenizer;
  const WorkloadWords words = words_of(state);
  append(run_.evals(), to_json(r, words));
  if (events_) events_->add(r.tokens, unix_seconds(), scalars_of(r, words));
  LineBuilder line(fmt::format("stage {} eval {}", r.stage, r.step));
  std::string figures = "loss " + words.loss_text(r.loss);
  if (std::isfinite(r.loss_se)) figures += " se " + words.loss_text(r.loss_se);
  figures += words.has_perplexity() ? fmt::format(" ppl {:.2f}", words.value(r.loss)) : " " + words.loss_unit;
  if (r.bits_per_byte) figures += fmt::format(" bits_per_byte {:.3f}", *r.bits_per_byte);
  for (const Figure& figure : r.figures) {
    figures += fmt::format(" | {} {:.4g}", figure.name, figure.value);
    if (std::isfinite(figure.se)) figures += fmt::format(" se {:.2g}", figure.se);
    if (!figure.unit.empty()) figures += " " + figure.unit;
  }
  line.group("{}", figures).group("{} {}", words.unit, format_count(r.eval_tokens)).group("seconds {:.1f}", r.seconds);
  log("{}", line.str());
}

void RunRecords::stage(const TrainState& state, int64_t params, double flops_per_token, int64_t tokens_planned,
                       int64_t steps, int ranks) {
  StageRecord r;
  place_at(r, state);
  r.arch = state.model.arch;
  r.params = params;
  r.flops_per_token = flops_per_token;
  r.flops_def = flops_def_;
  r.tokens_planned = tokens_planned;
  r.steps = steps;
  r.model = to_json(state.model);
  r.ranks = ranks;
  append(run_.ledger(), to_json(r));
  const WorkloadWords words = words_of(state);
  log("stage {} {} | params {} | steps {} {} {} | flops_per_{} {:.4g} flops_def {}", state.stage(),
      state.step == 0 ? "begins" : "goes on as changed", format_count(params), steps, words.unit,
      format_count(tokens_planned), words.one_unit(), flops_per_token, flops_def_);
}

void RunRecords::growth(const TrainState& state, const std::string& from_stage, int64_t params_before,
                        int64_t params_after, const GrowthOptions& options, const GrowthCheck& check) {
  GrowthRecord r;
  place_at(r, state);
  r.from_stage = from_stage;
  r.params_before = params_before;
  r.params_after = params_after;
  r.init = options.policy->name();
  r.moments = name_of(options.moments);
  r.max_abs_dlogit = check.max_abs_dlogit;
  r.rel_dlogit = check.relative_dlogit;
  r.dloss = check.loss_after - check.loss_before;
  r.new_params = check.new_params;
  r.dead_new_params = check.dead_params;
  r.unmoved_new_params = check.unmoved_params;
  r.dead_blocks = check.dead_blocks;
  append(run_.ledger(), to_json(r));
  LineBuilder line(fmt::format("stage {} grow from {}", r.stage, from_stage));
  line.group("params {} to {}", format_count(params_before), format_count(params_after));
  line.group("max_abs_dlogit {:.1e} relative {:.1e} dloss {:+.1e}", r.max_abs_dlogit, r.rel_dlogit, r.dloss);
  line.group("dead_new_params {} of {} unmoved {}", r.dead_new_params, r.new_params, r.unmoved_new_params);
  line.group("moments {}", r.moments);
  log("{}", line.str());
}

void RunRecords::begin_events(int64_t tokens, const WorkloadWords& words) {
  if (!is_writer_ || !keeps_events_) return;
  make_folders(run_.tensorboard_folder());
  const double now = unix_seconds();
  events_.emplace(event_file_name(run_.tensorboard_folder(), launch_.generation, host_name()), now);
  events_->restart(tokens, now);
  // What a stage ends with and the next one begins with lie at one number of tokens; of these the records know what
  // still counts.
  for (const JsonRecord& line : apply_resumes(read_json_lines(run_.metrics())))
    if (line.kind() == StepRecord::kKind && line.count("tokens") == tokens)
      events_->add(tokens, line.time(), scalars_of(step_from_json(line)));
  for (const JsonRecord& line : apply_resumes(read_json_lines(run_.evals())))
    if (line.kind() == EvalRecord::kKind && line.count("tokens") == tokens)
      events_->add(tokens, line.time(), scalars_of(eval_from_json(line), words));
}

void RunRecords::append_account(const TrainState& state, int64_t steps, const std::string& path) {
  const StageAccount& account = state.stages.back();
  CommitRecord r;
  place_at(r, state);
  r.steps = steps;
  r.stage_tokens = account.tokens;
  r.stage_flops = account.flops;
  r.stage_seconds = account.seconds;
  r.stage_rank_seconds = account.rank_seconds;
  r.total_tokens = state.total_tokens();
  r.total_flops = state.total_flops();
  r.inherited_tokens = state.inherited_tokens;
  r.inherited_flops = state.inherited_flops;
  r.path = inside(run_, path);
  append(run_.ledger(), to_json(r));
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
  std::vector<std::string> paths{all.begin(), all.end()};
  paths.push_back(run_.task_results());
  if (const std::string kept = set_aside(run_, paths); !kept.empty())
    log("records of a start that has committed nothing are kept | path {}", inside(run_, kept));
  append(run_.ledger(), begin_record(launch_.job));
  begin_events(0, {});
}

void RunRecords::resume(const TrainState& state, int64_t steps, const std::string& path) {
  for (const std::string& file : files()) {
    if (is_writer_) end_torn_line(file);
    append(file, resume_record(place_of(state), launch_.job));
  }
  begin_events(state.total_tokens(), words_of(state));
  // Again, since a crash between the commit and its record may have lost it.
  append_account(state, steps, path);
  log("stage {} resume at step {} | {} {} | path {}", state.stage(), state.step, words_of(state).unit,
      format_count(state.total_tokens()), inside(run_, path));
}

void RunRecords::change(const TrainState& state, const std::string& key, const std::string& text) {
  append(run_.ledger(), change_record(place_of(state), key, text));
}

void RunRecords::sync() const {
  if (!is_writer_) return;
  for (const std::string& file : files())
    if (path_exists(file)) fsync_path(file);
}

void RunRecords::done(const TrainState& state) {
  append(run_.ledger(), done_record(place_of(state)));
}

void RunRecords::spent(const TrainState& state, const json& figures, const std::string& line) {
  append(run_.ledger(), spent_record(place_of(state), figures));
  if (is_writer_ && !line.empty()) log("{}", line);
}

// Whether STATUS says how this launch has ended. The other ranks write that if this one was stopped for too long;
// should it wake before it is killed, it must not say again that it runs.
bool RunRecords::told_end() const {
  const std::optional<StatusRecord> told = launch_.generation == 0 ? std::nullopt : read_status(run_);
  return told && told->end && told->launch.generation == launch_.generation &&
         told->launch.job.is_same_start(launch_.job);
}

void RunRecords::status(const std::string& text, const std::optional<LaunchEnd>& end) {
  if (!is_writer_ || (!end && told_end())) return;
  replace_file(run_.status(), status_text({text, end, launch_}));
}

}  // namespace nexus
