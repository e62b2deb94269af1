#include "campaign/campaign.h"

#include <utility>

#include "campaign/next_action.h"
#include "campaign/resume.h"
#include "campaign/run_identity.h"
#include "campaign/stage_entry.h"
#include "core/log.h"
#include "core/units.h"
#include "model/workload.h"
#include "params/replication.h"
#include "spec/rules.h"
#include "system/clock.h"
#include "train/trainer.h"

namespace nexus {
namespace {

TrainerOptions trainer_options(const CampaignSpec& spec) {
  return {spec.batch, spec.data.context, spec.optimizer, spec.checkpoint,
          spec.eval,  spec.safety,       spec.account,   spec.precision};
}

size_t stage_of_name(const CampaignSpec& spec, const std::string& name) {
  if (name.empty()) return spec.stages.size() - 1;
  for (size_t i = 0; i < spec.stages.size(); ++i)
    if (spec.stages[i].name == name) return i;
  throw Error(ErrorKind::kConfig, "the campaign has no stage '" + name + "'", "--until-stage",
              "name one of the campaign's stages");
}

// The loop over stages: where the run stands decides what comes next.
class CampaignLoop {
 public:
  CampaignLoop(const CampaignInput& input, const LaunchOptions& launch, Backend& backend, RunSession& session)
      : spec_(input.spec),
        session_(session),
        until_(stage_of_name(spec_, launch.until_stage)),
        inputs_(spec_, input.tasks, session.world()),
        context_{input,   launch,  backend,
                 session, inputs_, sharding_of(session.grid(), spec_.parallel.zero, spec_.parallel.sequence)} {}

  ExitCode run() {
    try {
      return go_through_stages();
    } catch (...) {
      session_.note_end(end_of_current_exception());
      throw;
    }
  }

 private:
  ExitCode go_through_stages() {
    session_.open();
    ProcessGrid& grid = session_.grid();
    log("run {} | seed {} | ranks {} (dp {} tp {}) | backend {}", spec_.name, spec_.seed,
        grid.dp_size() * grid.tp_size(), grid.dp_size(), grid.tp_size(), context_.backend.description());
    inputs_.files.read_contents(session_.world());
    std::optional<Training> resumed = resume_training(context_);
    const bool begun = resumed.has_value();
    if (begun) training_ = std::move(*resumed);
    record_start();
    return train_stages(begun);
  }

  ExitCode train_stages(bool begun) {
    stop_asked_ = !session_.spent().empty();  // no step is to be had for nothing
    while (true) {
      const NextAction action = next_action(spec_, begun ? std::optional(training_.state) : std::nullopt);
      if (action.kind == NextAction::Kind::kDone) return finish();
      if (action.stage > until_) return finish_stage();
      if (session_.world().any(stop_asked_ || session_.requests().poll().urgent)) return stopped();
      switch (action.kind) {
        case NextAction::Kind::kStart: training_ = start_training(context_); break;
        case NextAction::Kind::kEnterStage: enter_stage(context_, action.stage, training_); break;
        case NextAction::Kind::kTrain: train(action.stage); break;
        case NextAction::Kind::kDone: break;
      }
      begun = true;
    }
  }

  // In run.json, and what is to be said of the data.
  void record_start() {
    ProcessGrid& grid = session_.grid();
    session_.world().try_on_rank_0("recording the launch", [&] {
      record_launch(
          session_.folder(), context_.input, context_.launch, context_.backend,
          fmt::format("dp {} tp {}{}", grid.dp_size(), grid.tp_size(), context_.sharding.sequence ? " sequence" : ""),
          session_.mark(), inputs_.files.record());
    });
    session_.world().try_on_rank_0("looking at the data", [&] {
      const DataReview review = review_data(spec_, inputs_.data, units_of_ancestors(spec_, inputs_.data));
      for (const std::string& line : review.lines) log_text(line);
      for (const std::string& text : review.warnings) warn_text(text);
    });
  }

  StagePlan plan_of(size_t stage) const {
    const StageSpec& spec = spec_.stages[stage];
    StagePlan plan;
    plan.steps = spec_.steps_of_stage(stage);
    plan.schedule = spec_.schedule_of_stage(stage);
    plan.grown = spec.grow.grows();
    plan.old_lr_mult = spec.grow.old_lr_mult;
    plan.new_lr_mult = spec.grow.new_lr_mult;
    plan.new_warmup_steps = spec.grow_warmup.steps(plan.steps, spec_.batch.global_tokens);
    plan.new_warmup_from = spec.grow.new_warmup_from;
    plan.new_warmup_decay = spec.grow.new_warmup_decay;
    plan.mask_steps = spec.grow_mask.steps(plan.steps, spec_.batch.global_tokens);
    plan.norm_scale_steps = spec.grow_norm_scale.steps(plan.steps, spec_.batch.global_tokens);
    return plan;
  }

  void train(size_t stage) {
    const StagePlan plan = plan_of(stage);
    TrainState& state = training_.state;
    ProcessGrid& grid = session_.grid();
    if (state.step == 0 || std::exchange(training_.plan_is_new, false))
      session_.records().stage(
          state, training_.trained->model.table().count(),
          training_flops_per_token(state.model, spec_.data.context, flops_definition(spec_.account.flops_def)),
          spec_.stages[stage].tokens, plan.steps, grid.dp_size() * grid.tp_size());
    RunContext run{
        context_.backend,
        grid,
        session_.folder(),
        session_.run_id(),
        session_.records(),
        session_.requests(),
        inputs_.data,
        counted_,
        session_.fence(),
        session_.mark().generation,
        [this](const TrainState& committed, const SaveResult& saved) { session_.committed(committed, saved); },
        {}};
    if (!inputs_.tasks.empty())
      run.evaluate_tasks = [this](const EvalContext& evaluation, const TrainState& at) {
        return inputs_.tasks.run(evaluation, at, session_.folder(), session_.run_id(), context_.launch.version);
      };
    StageTrainer trainer(run, trainer_options(spec_), plan, training_.trained->model, training_.trained->params, state);
    stop_asked_ = trainer.run() == StageEnd::kStopped;
    counted_ = run.counted;
  }

  // --- ends
  std::string progress_text() const {
    return workload(spec_.model.workload).unit() + " " + format_count(training_.state.total_tokens());
  }

  ExitCode finish() {
    const TrainState& state = training_.state;
    session_.requests().clear_stop_request();
    session_.records().done(state);
    const std::string progress = progress_text();
    session_.leave(fmt::format("done | stages {} {}", state.stages.size(), progress),
                   {ExitCode::kDone, kReasonDone, ""});
    log("run {} done | {} | flops {:.4g} flops_def {} | {}", spec_.name, progress, state.total_flops(),
        spec_.account.flops_def, session_.folder().root);
    return ExitCode::kDone;
  }

  ExitCode finish_stage() {
    session_.requests().clear_stop_request();
    const std::string& name = spec_.stages[until_].name;
    const std::string progress = progress_text();
    session_.leave(fmt::format("done stage {} | {}", name, progress), {ExitCode::kDone, kReasonStageDone, ""});
    log("run {} has finished stage {} | {} | {}", spec_.name, name, progress, session_.folder().root);
    return ExitCode::kDone;
  }

  ExitCode stopped() {
    const TrainState& state = training_.state;
    const RunSession::StopCause cause = session_.stop_cause();
    session_.requests().clear_stop_request();
    const std::string where =
        state.stages.empty() ? "before the first step" : fmt::format("stage {} step {}", state.stage(), state.step);
    const std::string todo =
        cause.spent ? "raise the budget, then run the same command" : "run the same command to continue";
    const LaunchEnd end = cause.spent ? LaunchEnd{ExitCode::kBudget, kReasonBudget, ""}
                                      : LaunchEnd{ExitCode::kStopped, kReasonStopped, ""};
    session_.leave(fmt::format("stopped {} | {} | {}", where, cause.reason, todo), end);
    log("run {} stopped {} | {} | {}", spec_.name, where, cause.reason, todo);
    return end.exit;
  }

  const CampaignSpec& spec_;
  RunSession& session_;
  size_t until_;  // the last stage of this launch
  LaunchInputs inputs_;
  LaunchContext context_;
  Training training_;
  bool stop_asked_ = false;  // no further stage
  double counted_ = steady_seconds();
};

}  // namespace

ExitCode run_campaign(const CampaignInput& input, const LaunchOptions& launch, Backend& backend,
                      std::unique_ptr<Communicator> world) {
  check_names(input.spec);
  if (input.spec.data.train.empty())
    throw Error(ErrorKind::kConfig, "the campaign names no training data", "data.train",
                workload(input.spec.model.workload).files_advice() + ", then write train: [{path: PREFIX}]");
  RunSession session(input, launch, std::move(world));
  return CampaignLoop(input, launch, backend, session).run();
}

}  // namespace nexus
