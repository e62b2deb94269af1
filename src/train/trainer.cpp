#include "train/trainer.h"

#include <algorithm>
#include <cmath>

#include "comm/progress.h"
#include "core/log.h"
#include "params/replication.h"
#include "system/clock.h"

namespace nexus {
namespace {

// Skipped updates in a row after which the weights themselves must be suspected.
constexpr int kMaxSkips = 10;
// Between questions to the driver about memory, which changes little and costs a wait to ask about.
constexpr double kMemoryPeriodSeconds = 10;
constexpr double kGiB = 1 << 30;

AdamW adamw_of(const OptimizerSpec& spec) {
  return {spec.beta1, spec.beta2, spec.eps, spec.clip};
}

}  // namespace

double StagePlan::old_rate(int64_t step) const {
  const double rate = schedule.at(step);
  return grown ? rate * old_lr_mult : rate;
}

double StagePlan::newest_rate(int64_t step) const {
  const double rate = schedule.at(step);
  if (!grown) return rate;
  const double warmup =
      new_warmup_steps > 0 ? std::min(1.0, static_cast<double>(step) / static_cast<double>(new_warmup_steps)) : 1.0;
  return rate * new_lr_mult * warmup + rate * new_warmup_from * (1.0 - warmup);
}

StageTrainer::StageTrainer(RunContext& run, const TrainerOptions& options, const StagePlan& plan, Model& model,
                           ParamStore& params, TrainState& state)
    : run_(run),
      options_(options),
      plan_(plan),
      model_(model),
      params_(params),
      state_(state),
      layout_(make_batch_layout(options.batch, options.context, run.grid.dp_rank(), run.grid.dp_size())),
      runner_(run.backend, run.grid, model, params, layout_, options.safety,
              {options.precision.recompute, options.precision.deterministic, run.data.valid != nullptr}),
      optimizer_(adamw_of(options.optimizer), options.optimizer.weight_decay, state.generations,
                 options.optimizer.lr_scale),
      flops_per_token_(
          training_flops_per_token(state.model, options.context, flops_definition(options.account.flops_def))),
      // The last fsync may write most of the bytes in one long silence.
      saves_({run.grid.world(), run.run, run.records, run.requests, run.fence, run.generation, run.on_commit},
             options.checkpoint, std::max(options.safety.watchdog.start_seconds, options.safety.watchdog.step_seconds),
             plan.steps, state, [this](bool pinned) { return begin_save(pinned); }) {}

StageEnd StageTrainer::run() {
  try {
    return train();
  } catch (const Error& error) {
    // Where all ranks are here together, the state that is being written is from before the trouble: what the user
    // needs.
    const bool everybody = error.kind() == ErrorKind::kNumeric ||
                           dynamic_cast<const ReplicaError*>(&error) != nullptr ||
                           (run_.grid.world().size() == 1 && error.kind() != ErrorKind::kIo);
    try {
      if (everybody) saves_.finish();
    } catch (const std::exception& lost) {  // the first error is the one to report
      warn("the checkpoint under way is lost: {}", lost.what());
    }
    throw;
  }
}

StageEnd StageTrainer::train() {
  if (state_.eval_pending && finish_pending_evaluation() == StageEnd::kStopped) return StageEnd::kStopped;
  if (state_.step == 0 && !evaluate_now(plan_.grown ? EvalEvent::kAfterGrowth : EvalEvent::kStart))
    return StageEnd::kStopped;
  while (state_.step < plan_.steps) {
    const int64_t tokens_before = state_.total_tokens();
    const StepOutput output = one_step();
    const bool last = is_last_step();
    state_.eval_pending = false;
    const bool stop = !evaluate_after_step(output.stop) || output.stop;
    check_replicas_if_due();
    if (last && weights_are_doubtful()) refuse_doubtful_end();
    if (stop && weights_are_doubtful())
      warn("the last {} steps were skipped: nothing is committed after them", skipped_in_a_row_);
    // What a stage's end still has to say is that nothing is owed; elsewhere the record says it (is_recorded).
    const bool is_saved = saved_owing_ && (state_.eval_pending || !last);
    if (!is_saved) saves_.after_step(tokens_before, output.save, last || stop);
    if (stop) return StageEnd::kStopped;
  }
  return StageEnd::kFinished;
}

bool StageTrainer::is_due(const Period& every) const {
  return every.due(state_.step - 1, state_.step, state_.total_tokens() - layout_.tokens(), state_.total_tokens());
}

bool StageTrainer::tasks_are_due() const {
  return run_.evaluate_tasks && state_.step > 0 && (is_last_step() || is_due(options_.eval.tasks_every));
}

bool StageTrainer::evaluate_after_step(bool stop) {
  saved_owing_ = false;
  if (run_.data.valid == nullptr || !(is_last_step() || is_due(options_.eval.every) || tasks_are_due())) return true;
  // Whoever asks for a stop may kill soon: the save comes first, and the evaluation is owed to the next launch.
  state_.eval_pending = true;
  if (stop) return false;
  // Tasks take long: what was trained before them is not to be lost with them.
  if (tasks_are_due() && !weights_are_doubtful()) {
    saves_.save_now();
    saved_owing_ = true;
  }
  state_.eval_pending = !evaluate_now(is_last_step() ? EvalEvent::kEnd : EvalEvent::kPeriodic);
  return !state_.eval_pending;
}

// The launch before was ended between the evaluation and the commit that would say that it is done.
bool StageTrainer::is_recorded() const {
  bool found = false;
  run_.grid.world().try_on_rank_0("looking for an evaluation", [&] {
    for (const JsonRecord& record : apply_resumes(read_json_lines(run_.run.evals())))
      found = found ||
              (record.kind() == EvalRecord::kKind && record.position() == Position{state_.stage_index, state_.step});
  });
  return run_.grid.world().any(found);
}

// The last update may have left finite weights that give no finite loss: then every step from here on is skipped, and
// what is saved now would push the last healthy checkpoints out.
void StageTrainer::refuse_doubtful_end() const {
  throw Error(ErrorKind::kNumeric,
              fmt::format("the stage's last {} steps were not finite and skipped, so its weights are not committed",
                          skipped_in_a_row_),
              fmt::format("stage {} step {}", state_.stage(), state_.step),
              "go on from an earlier checkpoint with --resume PATH and a lower learning rate");
}

StageEnd StageTrainer::finish_pending_evaluation() {
  const bool last = is_last_step();
  if (!is_recorded() && !evaluate_now(last ? EvalEvent::kEnd : EvalEvent::kPeriodic))
    return StageEnd::kStopped;  // the checkpoint knows that it is owed
  state_.eval_pending = false;
  if (!last) return StageEnd::kFinished;
  saves_.save_now();  // no step of this stage is left that would commit it
  return StageEnd::kFinished;
}

// The norms' scales and the masks on new channels. The state has them as the step computes with them, and so has a
// checkpoint after it.
void StageTrainer::move_constants(int64_t step) {
  if (!plan_.grown) return;
  const auto share_of = [step](int64_t steps) {
    return std::min(1.0, static_cast<double>(step) / static_cast<double>(steps));
  };
  if (plan_.norm_scale_steps > 0) {
    for (auto& [width, scale] : state_.norm_scales) scale.share = share_of(plan_.norm_scale_steps);
    params_.set_norm_scales(state_.norm_scales);
  }
  if (plan_.mask_steps > 0) {
    for (auto& [width, mask] : state_.growth_masks) mask.m = share_of(plan_.mask_steps);
    if (step >= plan_.mask_steps) state_.growth_masks.clear();
    params_.set_growth_masks(state_.growth_masks);
  }
}

StepOutput StageTrainer::one_step() {
  const double start = steady_seconds();
  const int64_t step = state_.step + 1;
  const auto poll = [this] { return saves_.with_due_save(run_.requests.poll()); };
  const StepInput input{state_.samples, plan_.old_rate(step), plan_.newest_rate(step), poll};
  move_constants(step);
  optimizer_.set_newest_decays(plan_.newest_decays(step));
  const FetchSample fetch = [this](int64_t sample, const Batch& batch, int64_t row) {
    run_.data.train.fetch(sample, batch, row);
  };
  const StepOutput output = runner_.run(fetch, optimizer_, input);
  skipped_in_a_row_ = output.updated ? 0 : skipped_in_a_row_ + 1;
  saves_.set_weights_are_sound(!weights_are_doubtful());
  if (skipped_in_a_row_ >= kMaxSkips)
    throw Error(ErrorKind::kNumeric, fmt::format("{} steps in a row were not finite", skipped_in_a_row_),
                fmt::format("stage {} step {}", state_.stage(), step),
                "go on from an earlier checkpoint with --resume PATH and a lower learning rate");
  state_.step = step;
  state_.samples += layout_.samples();
  state_.generations = optimizer_.generations();
  state_.stages.back().tokens += layout_.tokens();
  state_.stages.back().flops += flops_per_token_ * static_cast<double>(layout_.tokens());
  count_time();
  log_step(output, steady_seconds() - start);
  progress::begin_phase(progress::PhaseKind::kSteps, step < plan_.steps
                                                         ? fmt::format("stage {} step {}", state_.stage(), step + 1)
                                                         : fmt::format("the end of stage {}", state_.stage()));
  return output;
}

void StageTrainer::log_step(const StepOutput& output, double seconds) {
  mean_step_seconds_ = mean_step_seconds_ == 0 ? seconds : 0.9 * mean_step_seconds_ + 0.1 * seconds;
  StepRecord record;
  const int ranks = run_.grid.dp_size() * run_.grid.tp_size();
  record.steps = plan_.steps;
  record.loss = output.loss;
  record.updated = output.updated;
  record.lr = plan_.schedule.at(state_.step);
  record.grad_norm = output.grad_norm;
  record.step_ms = seconds * 1e3;
  record.data_ms = output.data_seconds * 1e3;
  record.tok_per_s = static_cast<double>(layout_.tokens()) / seconds;
  if (options_.account.peak_tflops)
    record.mfu_pct = 100 * (flops_per_token_ * record.tok_per_s / (*options_.account.peak_tflops * 1e12 * ranks));
  if (const std::optional<int64_t> bytes = device_bytes()) record.mem_gib = static_cast<double>(*bytes) / kGiB;
  const double eta_seconds = mean_step_seconds_ * static_cast<double>(plan_.steps - state_.step);
  run_.records.step(state_, record, ranks, eta_seconds);
}

std::optional<int64_t> StageTrainer::device_bytes() {
  const double now = steady_seconds();
  if (memory_asked_ && now - *memory_asked_ < kMemoryPeriodSeconds) return device_bytes_;
  memory_asked_ = now;
  if (const DeviceMemory memory = run_.backend.memory(); memory.total_bytes > 0)
    device_bytes_ = memory.total_bytes - memory.free_bytes;
  return device_bytes_;
}

bool StageTrainer::evaluate_now(EvalEvent event) {
  if (run_.data.valid == nullptr) return true;
  runner_.require_finite_state();
  const progress::Phase phase(fmt::format("stage {} evaluation after step {}", state_.stage(), state_.step));
  const EvalContext context{run_.backend,
                            run_.grid,
                            runner_.arena(),
                            model_,
                            params_,
                            *run_.data.valid,
                            options_.context,
                            options_.batch.micro,
                            options_.eval.max_tokens,
                            [this] { return stop_is_urgent(); }};
  std::optional<EvalRecord> record = run_evaluations(context, options_.eval, event);
  if (!record) return false;
  if (tasks_are_due()) {
    const double start = steady_seconds();
    const std::optional<std::vector<Figure>> figures = run_.evaluate_tasks(context, state_);
    if (!figures) return false;
    for (const Figure& figure : *figures) record->add(figure);
    record->seconds += steady_seconds() - start;
  }
  if (!std::isfinite(record->loss))
    throw Error(ErrorKind::kNumeric, fmt::format("validation loss is {}", record->loss),
                fmt::format("stage {} step {}", state_.stage(), state_.step),
                "go on from an earlier checkpoint with --resume PATH and a lower learning rate");
  count_time();
  run_.records.eval(state_, plan_.steps, *record);
  return true;
}

void StageTrainer::check_replicas_if_due() {
  if (options_.safety.replica_check == 0 || state_.step % options_.safety.replica_check != 0) return;
  check_replicas(run_.grid, params_, fmt::format("stage {} step {}", state_.stage(), state_.step));
}

std::unique_ptr<PendingSave> StageTrainer::begin_save(bool pinned) {
  runner_.require_finite_state();  // before a copy is taken: what is not finite must not be committed
  count_time();
  return start_saving(run_.grid, run_.run, run_.run_id, params_, state_, pinned, run_.generation);
}

void StageTrainer::count_time() {
  const double now = steady_seconds();
  const double seconds = now - run_.counted;
  run_.counted = now;
  state_.stages.back().seconds += seconds;
  state_.stages.back().rank_seconds += seconds * run_.grid.dp_size() * run_.grid.tp_size();
}

}  // namespace nexus
