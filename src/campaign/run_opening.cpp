#include "campaign/run_opening.h"

#include <functional>
#include <set>

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

// What rank 0 throws is thrown on every rank.
void on_rank_0(Communicator& world, const std::string& what, const std::function<void()>& act) {
  std::exception_ptr error;
  try {
    if (world.rank() == 0) act();
  } catch (...) {
    error = std::current_exception();
  }
  world.agree(what, error);
}

}  // namespace

OpenRun open_run(Communicator& world, const RunFolder& run, const CampaignSpec& spec, StopRequests& requests,
                 std::optional<LaunchKeeper>& keeper) {
  const int nodes = count_nodes(world);
  OpenRun open;
  on_rank_0(world, "opening the run folder", [&] {
    make_folders(run.checkpoints());
    make_folders(run.log_folder());
    keeper.emplace(run, spec, world.size(), nodes);
    open.mark = keeper->mark();
    keeper->add_sources(requests);
    open.run_id = identify_run(run);
    set_log_file(run.log_folder() + "/nexus.log");
  });
  open.run_id = world.broadcast_text(open.run_id);
  world.broadcast(&open.mark.generation, sizeof open.mark.generation, 0);
  open.mark.job = world.broadcast_text(open.mark.job);
  world.broadcast(&open.mark.restart, sizeof open.mark.restart, 0);
  return open;
}

void refuse_idle_starts(Communicator& world, std::optional<LaunchKeeper>& keeper) {
  on_rank_0(world, "looking at earlier starts", [&] { keeper->refuse_idle_starts(); });
}

std::string checkpoint_to_resume(Communicator& world, const RunFolder& run, const LaunchOptions& launch,
                                 const std::string& run_id) {
  const progress::Phase phase("looking for a checkpoint");
  if (launch.resume == "auto") return newest_good_checkpoint(world, run, run_id);
  on_rank_0(world, "looking for a checkpoint", [&] {
    if (launch.resume == "never" && !list_checkpoints(run).empty())
      throw Error(ErrorKind::kConfig, "the run folder holds checkpoints, and --resume is never", run.root,
                  "use --resume auto to continue, or another --out");
  });
  return launch.resume == "never" ? "" : launch.resume;
}

Checkpoint open_verified(Communicator& world, const std::string& path) {
  const progress::Phase phase("verifying " + path);
  std::optional<Checkpoint> checkpoint;
  std::exception_ptr error;
  try {
    checkpoint.emplace(path, false);
    checkpoint->verify(world.rank(), world.size());
  } catch (...) {
    error = std::current_exception();
  }
  world.agree("verifying the checkpoint", error);
  return std::move(*checkpoint);
}

}  // namespace nexus
