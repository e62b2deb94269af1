// How many bytes a training step sends between ranks. What the model's passes send over tensor-parallel ranks is
// counted by running them dry; the rest is formulas (docs/parallelism.md derives every term). The communicators count
// what they really send (Communicator::group_bytes), and tests hold the two equal to the byte.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "layers/recompute.h"
#include "model/model_config.h"
#include "params/sharding.h"

namespace nexus {

// One term. All ranks of one group together send `group_bytes` per step; a rank sends group_bytes / group size.
struct CommunicationTerm {
  enum class Group { kTp, kDp, kWorld } group = Group::kTp;
  std::string name;  // "forward and backward passes", "gradients", ...
  int64_t group_bytes = 0;
};

struct StepShape {
  int64_t micro = 0, context = 0, accumulation = 1;
  DType compute = DType::kF32;
  Recompute recompute = Recompute::kNone;
};

// Terms of one optimizer step, those of no bytes left out. The groups are those of the rank that `sharding` describes:
// where the vocabulary does not divide, tensor-parallel ranks hold different numbers of gradients.
std::vector<CommunicationTerm> step_communication(const ModelConfig& config, const StepShape& shape,
                                                  const Sharding& sharding);

// Sum of the terms of one group.
int64_t group_bytes_of(const std::vector<CommunicationTerm>& terms, CommunicationTerm::Group group);
// Bytes that a rank sends per step, mean over the groups' ranks.
double rank_bytes_of(const std::vector<CommunicationTerm>& terms, const Sharding& sharding);

std::string name_of(CommunicationTerm::Group group);

}  // namespace nexus
