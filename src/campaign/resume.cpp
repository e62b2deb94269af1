#include "campaign/resume.h"

#include <filesystem>

#include "campaign/known_commits.h"
#include "campaign/launch_changes.h"
#include "campaign/run_identity.h"
#include "comm/progress.h"
#include "core/log.h"
#include "train/checkpoint_io.h"

namespace nexus {
namespace {

// Users write what the log has printed, which is below the run folder, or a path of their own.
std::string find_checkpoint(const RunFolder& run, const std::string& name) {
  std::error_code none;
  for (const std::string& path : {name, run.root + "/" + name})
    if (!name.empty() && std::filesystem::is_directory(path, none)) return path;
  throw Error(ErrorKind::kConfig,
              name.starts_with("/") ? "there is no such checkpoint"
                                    : "there is no such checkpoint, below the working directory or the run folder",
              "--resume " + name, "name one of those that `nexus ckpt ls " + run.root + "` lists");
}

// "": the run has no past.
std::string checkpoint_to_resume(RunSession& session, const std::string& resume) {
  const progress::Phase phase("looking for a checkpoint");
  if (resume == "never") return "";
  std::string path;
  if (resume == "auto") path = newest_good_checkpoint(session.world(), session.folder(), session.run_id());
  session.world().try_on_rank_0("looking for a checkpoint", [&] {
    if (resume == "auto")
      refuse_vanished_checkpoints(session.folder(), path);
    else
      path = find_checkpoint(session.folder(), resume);
  });
  return session.world().broadcast_text(path);
}

TrainState read_state(RunSession& session, const Checkpoint& checkpoint) {
  TrainState state = train_state_from_json(checkpoint.state(), checkpoint.path());
  if (state.flops_def.empty())  // of an older nexus
    state.flops_def =
        session.world().broadcast_text(session.grid().rank() == 0 ? recorded_flops_def(session.folder()) : "");
  return state;
}

// Settings and data that are other ones than the state's; recorded once none is refused. Whether there are any.
bool accept_changes(const LaunchContext& context, TrainState& state) {
  std::vector<FrozenChange> changes = accept_settings(context.input, context.launch, state);
  for (FrozenChange& change : accept_data(context.spec(), context.launch, context.inputs.data.train.index_digest(),
                                          context.inputs.files.identity(), state))
    changes.push_back(std::move(change));
  for (const FrozenChange& change : changes) {
    if (context.session.grid().rank() == 0)
      warn("changed as allowed, from stage {} step {} on: {}", state.stage(), state.step, change.text);
    context.session.records().change(state, change.key, change.text);
  }
  return !changes.empty();
}

}  // namespace

std::optional<Training> resume_training(const LaunchContext& context) {
  RunSession& session = context.session;
  const std::string path = checkpoint_to_resume(session, context.launch.resume);
  if (path.empty()) return std::nullopt;
  const Checkpoint checkpoint =
      context.launch.resume == "auto" ? Checkpoint(path, false) : open_verified(session.world(), path);
  if (checkpoint.id().run_id != session.run_id())
    throw Error(ErrorKind::kCheckpoint, "the checkpoint belongs to another run", path,
                "continue that run in its own folder, or start from it with init_from");
  Training training;
  TrainState& state = training.state = read_state(session, checkpoint);
  training.plan_is_new = accept_changes(context, state);
  training.trained = context.make_model(state.model);
  load_training(checkpoint, training.trained->params);
  training.trained->params.set_norm_scales(state.norm_scales);
  training.trained->params.set_growth_masks(state.growth_masks);
  const auto stage = static_cast<size_t>(state.stage_index);
  const CampaignSpec& spec = context.spec();
  session.records().resume(state, stage < spec.stages.size() ? spec.steps_of_stage(stage) : state.step, path);
  require_agreement(context, training);
  return training;
}

Checkpoint open_verified(Communicator& world, const std::string& path) {
  const progress::Phase phase("verifying " + path);
  std::optional<Checkpoint> checkpoint;
  world.try_together("verifying the checkpoint", [&] {
    checkpoint.emplace(path, false);
    checkpoint->verify(world.rank(), world.size());
    checkpoint->require_finite(world.rank(), world.size());
  });
  return std::move(*checkpoint);
}

}  // namespace nexus
