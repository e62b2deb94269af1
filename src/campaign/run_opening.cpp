#include "campaign/run_opening.h"

#include <filesystem>
#include <set>

#include "campaign/known_commits.h"
#include "campaign/run_identity.h"
#include "comm/progress.h"
#include "core/files.h"
#include "core/host.h"
#include "core/log.h"

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

}  // namespace

OpenRun open_run(Communicator& world, const RunFolder& run, const CampaignSpec& spec, const LaunchOptions& launch,
                 StopRequests& requests, std::optional<LaunchKeeper>& keeper) {
  const int nodes = count_nodes(world);
  OpenRun open;
  world.try_on_rank_0("opening the run folder", [&] {
    make_checkpoint_folder(run.checkpoints());
    make_folders(run.log_folder());
    keeper.emplace(run, spec, world.size(), nodes);
    open.mark = keeper->mark();
    keeper->add_sources(requests);
    set_log_file(run.log_folder() + "/nexus.log");
    if (launch.resume == "never") begin_anew(run);
    open.run_id = identify_run(run);
  });
  open.run_id = world.broadcast_text(open.run_id);
  world.broadcast(&open.mark.generation, sizeof open.mark.generation, 0);
  open.mark.job.id = world.broadcast_text(open.mark.job.id);
  world.broadcast(&open.mark.job.restart, sizeof open.mark.job.restart, 0);
  return open;
}

void refuse_idle_starts(Communicator& world, std::optional<LaunchKeeper>& keeper) {
  world.try_on_rank_0("looking at earlier starts", [&] { keeper->refuse_idle_starts(); });
}

std::string checkpoint_to_resume(Communicator& world, const RunFolder& run, const LaunchOptions& launch,
                                 const std::string& run_id) {
  const progress::Phase phase("looking for a checkpoint");
  if (launch.resume == "never") return "";
  std::string path;
  if (launch.resume == "auto") path = newest_good_checkpoint(world, run, run_id);
  world.try_on_rank_0("looking for a checkpoint", [&] {
    if (launch.resume == "auto")
      refuse_vanished_checkpoints(run, path);
    else
      path = find_checkpoint(run, launch.resume);
  });
  return world.broadcast_text(path);
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
