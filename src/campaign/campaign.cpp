#include "campaign/campaign.h"

#include <algorithm>
#include <atomic>

#include "campaign/data_review.h"
#include "campaign/grow_stage.h"
#include "campaign/launch_changes.h"
#include "campaign/launch_data.h"
#include "campaign/launch_inputs.h"
#include "campaign/next_action.h"
#include "campaign/run_identity.h"
#include "campaign/run_opening.h"
#include "comm/progress.h"
#include "comm/watchdog.h"
#include "core/files.h"
#include "core/json_text.h"
#include "core/log.h"
#include "core/units.h"
#include "params/replication.h"
#include "spec/rules.h"
#include "system/clock.h"
#include "train/checkpoint_io.h"
#include "train/trainer.h"

namespace nexus {
namespace {

// Samples of real data that every growth is proved on.
constexpr int64_t kGrowthSamples = 4;

TrainerOptions trainer_options(const CampaignSpec& spec) {
  return {spec.batch, spec.data.context, spec.optimizer, spec.checkpoint,
          spec.eval,  spec.safety,       spec.account,   spec.precision};
}

// What the watchdog's thread must know to write STATUS; `mark` is set before `yes`.
struct Opened {
  std::atomic<bool> yes{false};  // the run folder is this job's own
  LaunchMark mark;
};

size_t stage_of_name(const CampaignSpec& spec, const std::string& name) {
  if (name.empty()) return spec.stages.size() - 1;
  for (size_t i = 0; i < spec.stages.size(); ++i)
    if (spec.stages[i].name == name) return i;
  throw Error(ErrorKind::kConfig, "the campaign has no stage '" + name + "'", "--until-stage",
              "name one of the campaign's stages");
}

class Campaign {
 public:
  Campaign(const CampaignInput& input, const LaunchOptions& launch, Backend& backend, ProcessGrid& grid, Opened& opened)
      : input_(input),
        opened_(opened),
        spec_(input.spec),
        launch_(launch),
        backend_(backend),
        grid_(grid),
        sharding_(sharding_of(grid, spec_.parallel.zero, spec_.parallel.sequence)),
        folder_{spec_.out},
        until_(stage_of_name(spec_, launch.until_stage)),
        records_(folder_, grid.rank() == 0, spec_.account.flops_def),
        requests_(folder_, grid.rank() == 0, launch.stop_after_seconds),
        sampler_(spec_.data, spec_.seed, spec_.model.vocab) {
    if (!spec_.data.valid.empty()) valid_.emplace(spec_.data.valid, spec_.data.context, spec_.model.vocab);
    data_.emplace(spec_, sampler_, valid_ ? &*valid_ : nullptr, grid.world());
  }

  ExitCode run() {
    try {
      return go_through_stages();
    } catch (...) {
      if (keeper_) keeper_->note_end(end_of_current_exception());
      throw;
    }
  }

 private:
  ExitCode go_through_stages() {
    open_folder();
    data_->read_contents(grid_.world());
    std::optional<TrainState> restored = restore();
    if (restored) {
      state_ = *restored;
      require_agreement();
    }
    describe_launch();
    describe_data();
    stop_asked_ = keeper_ && !keeper_->spent().empty();  // no step is to be had for nothing
    while (true) {
      const NextAction action = next_action(spec_, restored);
      if (action.kind == NextAction::Kind::kDone) return finish();
      if (action.stage > until_) return finish_stage();
      if (grid_.world().any(stop_asked_ || requests_.poll().urgent)) return stopped();
      switch (action.kind) {
        case NextAction::Kind::kStart: start(); break;
        case NextAction::Kind::kEnterStage: enter_stage(action.stage); break;
        case NextAction::Kind::kTrain: train(action.stage); break;
        case NextAction::Kind::kDone: break;
      }
      restored = state_;
    }
  }

  // --- the run folder
  void open_folder() {
    const OpenRun open = open_run(grid_.world(), folder_, spec_, launch_, requests_, keeper_);
    run_id_ = open.run_id;
    records_.set_launch(open.mark);
    if (launch_.on_open) launch_.on_open(folder_.root, open.mark);
    grid_.world().require_equal("the configuration", input_.resolved_yaml);
    opened_.mark = open.mark;
    opened_.yes = true;
    records_.status(std::string(StatusRecord::kRunning));
    refuse_idle_starts(grid_.world(), keeper_);
    log("run {} | seed {} | ranks {} (dp {} tp {}) | backend {}", spec_.name, spec_.seed,
        grid_.dp_size() * grid_.tp_size(), grid_.dp_size(), grid_.tp_size(), backend_.description());
  }

  void describe_launch() {
    grid_.world().try_on_rank_0("recording the launch", [this] {
      record_launch(
          folder_, input_, launch_, backend_,
          fmt::format("dp {} tp {}{}", grid_.dp_size(), grid_.tp_size(), sharding_.sequence ? " sequence" : ""),
          opened_.mark, data_->record());
    });
  }

  void describe_data() {
    grid_.world().try_on_rank_0("looking at the data", [this] {
      const DataReview review = review_data(spec_, sampler_, tokens_of_ancestors(spec_, sampler_));
      for (const std::string& line : review.lines) log_text(line);
      for (const std::string& text : review.warnings) warn_text(text);
    });
  }

  std::optional<TrainState> restore() {
    const std::string path = checkpoint_to_resume(grid_.world(), folder_, launch_, run_id_);
    if (path.empty()) return std::nullopt;
    const Checkpoint checkpoint =
        launch_.resume == "auto" ? Checkpoint(path, false) : open_verified(grid_.world(), path);
    if (checkpoint.id().run_id != run_id_)
      throw Error(ErrorKind::kCheckpoint, "the checkpoint belongs to another run", path,
                  "continue that run in its own folder, or start from it with init_from");
    TrainState state = train_state_from_json(checkpoint.state(), path);
    if (state.flops_def.empty())  // of an older nexus
      state.flops_def = grid_.world().broadcast_text(grid_.rank() == 0 ? recorded_flops_def(folder_) : "");
    std::vector<FrozenChange> changes = accept_settings(input_, launch_, state);
    for (FrozenChange& change : accept_data(spec_, launch_, sampler_.index_digest(), data_->identity(), state))
      changes.push_back(std::move(change));
    for (const FrozenChange& change : changes) record_change(state, change);  // once none is refused
    plan_is_new_ = !changes.empty();
    trained_ = std::make_unique<Trained>(state.model, backend_, spec_.precision.compute, sharding_);
    load_training(checkpoint, trained_->params);
    const auto stage = static_cast<size_t>(state.stage_index);
    records_.resume(state, stage < spec_.stages.size() ? spec_.steps_of_stage(stage) : state.step, path);
    return state;
  }

  void record_change(const TrainState& state, const FrozenChange& change) {
    if (grid_.rank() == 0)
      warn("changed as allowed, from stage {} step {} on: {}", state.stage(), state.step, change.text);
    records_.change(state, change.key, change.text);
  }

  // --- stages
  void start() {
    records_.begin();
    state_ = TrainState{};
    state_.seed = spec_.seed;
    state_.data_digest = sampler_.index_digest();
    state_.data = data_->identity();
    state_.flops_def = spec_.account.flops_def;
    if (spec_.init_from.empty()) {
      state_.model = spec_.model_of_stage(0);
      if (spec_.stages[0].grow.grows())
        throw Error(ErrorKind::kConfig, "the first stage grows, but there is nothing to grow from", "stages.0.grow",
                    "set the widths in `model`, or name a checkpoint with init_from");
      trained_ = std::make_unique<Trained>(state_.model, backend_, spec_.precision.compute, sharding_);
      trained_->params.initialize(spec_.seed);
      state_.generations = {first_generation(state_.model)};
      begin_stage(0);
      return;
    }
    start_from_ancestor();
    enter_stage(0);
  }

  void start_from_ancestor() {
    const Checkpoint checkpoint = open_verified(grid_.world(), spec_.init_from);
    const TrainState ancestor = ancestor_state(spec_, checkpoint);
    accept_ancestor(spec_, launch_, ancestor, state_);
    trained_ = std::make_unique<Trained>(ancestor.model, backend_, spec_.precision.compute, sharding_);
    load_training(checkpoint, trained_->params);
    state_.model = ancestor.model;
    state_.generations = ancestor.generations;
    state_.samples = ancestor.samples;
    state_.inherited_tokens = ancestor.total_tokens();
    state_.inherited_flops = ancestor.total_flops();
    log("run {} inherits {} tokens, {:.3g} FLOPs | path {}", spec_.name, format_count(state_.inherited_tokens),
        state_.inherited_flops, spec_.init_from);
  }

  void begin_stage(size_t stage) {
    state_.stage_index = static_cast<int64_t>(stage);
    state_.step = 0;
    state_.stages.push_back({spec_.stages[stage].name});
    state_.stage_numerics.push_back(input_.stage_numerics[stage]);
    require_agreement();
  }

  // Suspect the ranks first: all must train the same model by the same rules, from whatever they have read.
  void require_agreement() {
    grid_.world().require_equal("the configuration", input_.resolved_yaml);
    grid_.world().require_equal("the parameter table", trained_->model.table().digest());
    grid_.world().require_equal(
        "where the run stands",
        fmt::format("stage {} step {} samples {} seed {} data {} {}", state_.stage_index, state_.step, state_.samples,
                    state_.seed, state_.data_digest, json_text(to_json(state_.data))));
  }

  void enter_stage(size_t stage) {
    const std::string from = state_.stages.empty() ? "init_from" : state_.stage();
    begin_stage(stage);
    if (spec_.stages[stage].grow.grows()) grow(stage, from);
  }

  void grow(size_t stage, const std::string& from_stage) {
    const StageSpec& spec = spec_.stages[stage];
    const progress::Phase phase(fmt::format("growing into stage {}", state_.stage()));
    GrowthOutcome outcome = grow_trained(grid_, *trained_, spec.grow, spec_.seed, growth_batch(), spec.lr.peak, state_);
    trained_ = std::move(outcome.grown);
    records_.growth(state_, from_stage, outcome.params_before, outcome.params_after, spec.grow, *outcome.check);
    require_sound_growth(*outcome.check, spec.grow, "stage " + state_.stage());
  }

  GrowthBatch growth_batch() const {
    const int64_t samples = valid_ ? std::min(kGrowthSamples, valid_->count()) : kGrowthSamples;
    GrowthBatch batch{spec_.data.context, {trained_->model.batch_fields(spec_.data.context), samples}};
    for (int64_t s = 0; s < samples; ++s) {
      if (valid_)
        valid_->fetch(s * valid_->count() / samples, batch.data.batch(), s);
      else
        sampler_.fetch(s, batch.data.batch(), s);
    }
    return batch;
  }

  void train(size_t stage) {
    const StageSpec& spec = spec_.stages[stage];
    StagePlan plan;
    plan.steps = spec_.steps_of_stage(stage);
    plan.schedule = spec_.schedule_of_stage(stage);
    plan.grown = spec.grow.grows();
    plan.new_lr_mult = spec.grow.new_lr_mult;
    plan.new_warmup_steps = spec.grow_warmup.steps(plan.steps, spec_.batch.global_tokens);
    if (state_.step == 0 || std::exchange(plan_is_new_, false))
      records_.stage(
          state_, trained_->model.table().count(),
          training_flops_per_token(state_.model, spec_.data.context, flops_definition(spec_.account.flops_def)),
          spec.tokens, plan.steps, grid_.dp_size() * grid_.tp_size());
    RunContext context{
        backend_,
        grid_,
        folder_,
        run_id_,
        records_,
        requests_,
        sampler_,
        valid_ ? &*valid_ : nullptr,
        valid_ ? valid_->bytes_per_token().value_or(0.0) : 0.0,
        counted_,
        keeper_ ? keeper_->fence() : Fence{},
        opened_.mark.generation,
        [this](const TrainState& state, const SaveResult& saved) { keeper_->committed(records_, state, saved); }};
    StageTrainer trainer(context, trainer_options(spec_), plan, trained_->model, trained_->params, state_);
    stop_asked_ = trainer.run() == StageEnd::kStopped;
    counted_ = context.counted;
  }

  // --- ends
  // Says it in the lease and in STATUS.
  void leave(const std::string& text, const LaunchEnd& end) {
    if (keeper_) keeper_->note_end(end);
    records_.status(text, end);
  }

  ExitCode finish() {
    requests_.clear_stop_request();
    records_.done(state_);
    const std::string tokens = format_count(state_.total_tokens());
    leave(fmt::format("done | stages {} tokens {}", state_.stages.size(), tokens), {ExitCode::kDone, kReasonDone, ""});
    log("run {} done | tokens {} | flops {:.4g} flops_def {} | {}", spec_.name, tokens, state_.total_flops(),
        spec_.account.flops_def, folder_.root);
    return ExitCode::kDone;
  }

  ExitCode finish_stage() {
    requests_.clear_stop_request();
    const std::string& name = spec_.stages[until_].name;
    const std::string tokens = format_count(state_.total_tokens());
    leave(fmt::format("done stage {} | tokens {}", name, tokens), {ExitCode::kDone, kReasonStageDone, ""});
    log("run {} has finished stage {} | tokens {} | {}", spec_.name, name, tokens, folder_.root);
    return ExitCode::kDone;
  }

  ExitCode stopped() {
    const bool spent = grid_.world().any(keeper_ && !keeper_->spent().empty());
    const std::string reason = spent ? keeper_ ? keeper_->spent() : "" : first_reason();
    requests_.clear_stop_request();
    const std::string where =
        state_.stages.empty() ? "before the first step" : fmt::format("stage {} step {}", state_.stage(), state_.step);
    const std::string todo = spent ? "raise the budget, then run the same command" : "run the same command to continue";
    const LaunchEnd end{spent ? ExitCode::kBudget : ExitCode::kStopped, spent ? kReasonBudget : kReasonStopped, ""};
    leave(fmt::format("stopped {} | {} | {}", where, reason, todo), end);
    log("run {} stopped {} | {} | {}", spec_.name, where, reason, todo);
    return end.exit;
  }

  // Why some rank was asked to stop; the same on every rank.
  std::string first_reason() {
    for (const std::string& reason : grid_.world().all_gather_text(requests_.reason()))
      if (!reason.empty()) return reason;
    return "as asked";
  }

  const CampaignInput& input_;
  Opened& opened_;
  const CampaignSpec& spec_;
  const LaunchOptions& launch_;
  Backend& backend_;
  ProcessGrid& grid_;
  Sharding sharding_;
  RunFolder folder_;
  size_t until_;  // the last stage of this launch
  RunRecords records_;
  std::optional<LaunchKeeper> keeper_;  // rank 0
  StopRequests requests_;
  Sampler sampler_;
  std::optional<EvalWindows> valid_;
  std::optional<LaunchData> data_;
  std::string run_id_;
  bool stop_asked_ = false;   // no further stage
  bool plan_is_new_ = false;  // settings have changed within the stage: its record must be written anew
  double counted_ = steady_seconds();
  std::unique_ptr<Trained> trained_;
  TrainState state_;
};

// A rank that hangs ends the job, with an explanation. The dumps' folder is made only if there is something to write.
WatchdogOptions watchdog_options(const CampaignSpec& spec, Communicator& world, const Opened& opened) {
  const RunFolder folder{spec.out};
  WatchdogOptions options;
  options.folder =
      world.broadcast_text(fmt::format("{}/dumps/{}", folder.root, static_cast<int64_t>(1e3 * unix_seconds())));
  options.rank = world.rank();
  options.size = world.size();
  options.start_seconds = spec.safety.watchdog.start_seconds;
  options.step_seconds = spec.safety.watchdog.step_seconds;
  options.on_timeout = [folder, &opened](const std::string& text) {
    if (opened.yes && owns_run(folder, opened.mark.generation))
      replace_file(folder.status(), status_text({"nexus: error: " + text,
                                                 LaunchEnd{ExitCode::kTransient, kReasonHang, ""}, opened.mark}));
  };
  return options;
}

}  // namespace

ExitCode run_campaign(const CampaignInput& input, const LaunchOptions& launch, Backend& backend,
                      std::unique_ptr<Communicator> world) {
  check_names(input.spec);
  if (input.spec.data.train.empty())
    throw Error(ErrorKind::kConfig, "the campaign names no training data", "data.train",
                "make token files with `nexus data build`, then write train: [{path: PREFIX}]");
  Opened opened;
  const Watchdog watchdog(watchdog_options(input.spec, *world, opened));
  world->require_equal("the configuration", input.resolved_yaml);  // before ranks of other opinions part
  ProcessGrid grid(std::move(world), input.spec.parallel.dp, input.spec.parallel.tp);
  input.spec.check_tensor_parallel(grid.tp_size());
  make_batch_layout(input.spec.batch, input.spec.data.context, grid.dp_rank(), grid.dp_size());  // refuses early
  return Campaign(input, launch, backend, grid, opened).run();
}

}  // namespace nexus
