#include "comm/process_grid.h"

namespace nexus {

ProcessGrid::ProcessGrid(std::unique_ptr<Communicator> world, int dp, int tp)
    : world_(std::move(world)), dp_(dp), tp_(tp) {
  const int ranks = world_->size();
  if (tp != 1)
    throw Error(ErrorKind::kConfig, fmt::format("parallel.tp is {}, but this release splits no tensors", tp), "",
                "set parallel.tp to 1");
  if (dp_ == 0) dp_ = ranks / tp_;
  if (dp_ * tp_ != ranks)
    throw Error(ErrorKind::kConfig,
                fmt::format("dp {} x tp {} needs {} ranks, but {} were started", dp_, tp_, dp_ * tp_, ranks), "",
                fmt::format("start {} ranks, or set parallel.dp to auto", dp_ * tp_));
}

}  // namespace nexus
