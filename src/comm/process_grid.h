// ProcessGrid: the dp x tp arrangement of the ranks, and the one owner of their communicators.
//
// rank = dp_rank * tp + tp_rank: tensor-parallel ranks are neighbours (on one node wherever tp divides its ranks).
#pragma once

#include <memory>

#include "comm/communicator.h"

namespace nexus {

class ProcessGrid {
 public:
  // dp 0 means "auto": world size / tp. Throws ErrorKind::kConfig where dp * tp is not the world size.
  ProcessGrid(std::unique_ptr<Communicator> world, int dp, int tp);

  Communicator& world() { return *world_; }
  Communicator& dp() { return *world_; }  // tp is 1 in this release: the data-parallel group is the world
  int dp_size() const { return dp_; }
  int tp_size() const { return tp_; }
  int rank() const { return world_->rank(); }
  int dp_rank() const { return world_->rank() / tp_; }
  int tp_rank() const { return world_->rank() % tp_; }

 private:
  std::unique_ptr<Communicator> world_;
  int dp_, tp_;
};

}  // namespace nexus
