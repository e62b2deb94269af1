#include "campaign/run_session.h"

#include <filesystem>
#include <set>

#include "campaign/known_commits.h"
#include "campaign/run_identity.h"
#include "core/files.h"
#include "core/host.h"
#include "core/log.h"
#include "system/clock.h"
#include "train/step.h"

namespace nexus {
namespace {

int count_nodes(Communicator& world) {
  const std::vector<std::string> all = world.all_gather_text(host_name());
  return static_cast<int>(std::set<std::string>(all.begin(), all.end()).size());
}

// A link to a file system that is not mounted is no folder to make.
void make_checkpoint_folder(const std::string& path) {
  std::error_code none;
  if (std::filesystem::is_symlink(path, none) && !seems_to_exist(path))
    throw Error(ErrorKind::kIo, "checkpoints is a link to a folder that is not there", path,
                "mount its file system, or put the link right");
  make_folders(path);
}

// Before ranks of other opinions part.
std::unique_ptr<Communicator> of_one_configuration(std::unique_ptr<Communicator> world, const CampaignInput& input) {
  world->require_equal("the configuration", input.resolved_yaml);
  return world;
}

}  // namespace

RunSession::RunSession(const CampaignInput& input, const LaunchOptions& launch, std::unique_ptr<Communicator> world)
    : input_(input),
      launch_(launch),
      folder_{input.spec.out},
      watchdog_(watchdog_options(input.spec, *world, opened_)),
      grid_(of_one_configuration(std::move(world), input), input.spec.parallel.dp, input.spec.parallel.tp),
      records_(folder_, grid_.rank() == 0, input.spec.account.flops_def),
      requests_(folder_, grid_.rank() == 0, launch.stop_after_seconds) {
  const CampaignSpec& spec = input.spec;
  spec.check_tensor_parallel(grid_.tp_size());
  make_batch_layout(spec.batch, spec.data.context, grid_.dp_rank(), grid_.dp_size());  // refuses early
}

// The dumps' folder is made only if there is something to write.
WatchdogOptions RunSession::watchdog_options(const CampaignSpec& spec, Communicator& world, const Opened& opened) {
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

void RunSession::open() {
  claim_folder();
  records_.set_launch(opened_.mark);
  if (input_.spec.logging.tensorboard) records_.keep_tensorboard();
  if (launch_.on_open) launch_.on_open(folder_.root, opened_.mark);
  world().require_equal("the configuration", input_.resolved_yaml);
  opened_.yes = true;
  records_.status(std::string(StatusRecord::kRunning));
  world().try_on_rank_0("looking at earlier starts", [this] { keeper_->refuse_failed_starts(); });
}

void RunSession::claim_folder() {
  const int nodes = count_nodes(world());
  LaunchMark& mark = opened_.mark;
  world().try_on_rank_0("opening the run folder", [&] {
    make_checkpoint_folder(folder_.checkpoints());
    make_folders(folder_.log_folder());
    keeper_.emplace(folder_, input_.spec, world().size(), nodes);
    mark = keeper_->mark();
    keeper_->add_sources(requests_);
    set_log_file(folder_.log_folder() + "/nexus.log");
    if (launch_.resume == "never") begin_anew(folder_);
    run_id_ = identify_run(folder_);
  });
  run_id_ = world().broadcast_text(run_id_);
  world().broadcast(&mark.generation, sizeof mark.generation, 0);
  mark.job.id = world().broadcast_text(mark.job.id);
  world().broadcast(&mark.job.restart, sizeof mark.job.restart, 0);
}

RunSession::StopCause RunSession::stop_cause() {
  if (world().any(!spent().empty())) return {true, spent()};
  const auto reason = first_text(world().all_gather_text(requests_.reason()));
  return {false, reason ? reason->text : "as asked"};
}

void RunSession::note_end(const LaunchEnd& end) {
  if (keeper_) keeper_->note_end(end);
}

void RunSession::leave(const std::string& text, const LaunchEnd& end) {
  note_end(end);
  records_.status(text, end);
}

}  // namespace nexus
