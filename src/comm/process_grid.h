// ProcessGrid: the dp x tp arrangement of the ranks, and the one owner of their communicators.
//
// rank = dp_rank * tp + tp_rank: tensor-parallel ranks are neighbours (on one node wherever tp divides its ranks).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace nexus {

class ProcessGrid {
 public:
  // dp 0 means "auto": world size / tp. Throws ErrorKind::kConfig where dp * tp is not the world size. Warns (rank 0)
  // where a tensor-parallel group spans nodes. Collective.
  ProcessGrid(std::unique_ptr<Communicator> world, int dp, int tp);

  Communicator& world() { return *world_; }
  Communicator& dp() { return *dp_; }  // the ranks of equal tp_rank: same part of the model, other samples
  Communicator& tp() { return *tp_; }  // the ranks of equal dp_rank: same samples, other part of the model
  int dp_size() const { return dp_->size(); }
  int tp_size() const { return tp_->size(); }
  int rank() const { return world_->rank(); }
  int dp_rank() const { return dp_->rank(); }
  int tp_rank() const { return tp_->rank(); }

 private:
  std::unique_ptr<Communicator> world_, dp_, tp_;
};

// The first tensor-parallel group whose ranks run on several hosts (`hosts` by rank), as a sentence; empty if there is
// none.
std::string spanning_group(const std::vector<std::string>& hosts, int tp);

}  // namespace nexus
