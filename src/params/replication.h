// What the ranks of a grid hold in common, and how they keep it so: the collectives on whole parameter stores.
//
// All calls are collective; every rank's store has the same model and a table of its own place in the grid.
#pragma once

#include "comm/process_grid.h"
#include "params/param_store.h"

namespace nexus {

// This rank's place. ZeRO-1 and sequence parallelism are off where their axis has one rank.
Sharding sharding_of(const ProcessGrid& grid, bool zero, bool sequence);

// ZeRO-1: every data-parallel rank has updated its own part of `compute`; afterwards each has all of it. Nothing to do
// without.
void all_gather_weights(Communicator& dp, ParamStore& params);

// Writes the master weights of all this tensor-parallel rank's tensors into `flat`, wide [flat_count].
void all_gather_master(Communicator& dp, const ParamStore& params, const Tensor& flat);

// The whole of one tensor, in host memory of the wide type, out of `state`, which is the master or a moment of
// `params`.
Buffer gather_tensor(Communicator& world, const ParamStore& params, const Tensor& state, int param);

// Thrown on every rank at once, which a device that fails on one rank is not.
class ReplicaError : public Error {
 public:
  using Error::Error;
};

// Compares, bit for bit, what must be equal: compute weights, and without ZeRO-1 master and moments, over dp;
// replicated tensors over tp as well. Throws ReplicaError (ErrorKind::kDevice) on every rank, naming the first tensor
// and the ranks that differ; the suspect node is theirs, where they are all on one. `where` says when, e.g. "stage s240
// step 1000".
void check_replicas(ProcessGrid& grid, const ParamStore& params, const std::string& where);

}  // namespace nexus
