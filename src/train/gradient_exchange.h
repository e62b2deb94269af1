// What one step exchanges between ranks besides activations: gradients, their global norm, updated weights.
//
// Buckets are summed over dp while the backward pass goes on: all-reduced, or with ZeRO-1 reduce-scattered, and then
// updated weights are gathered. On GPUs with tp > 1 the next layer's tp collective waits behind a bucket: NCCL has one
// stream. MPI sums in rank order and the norm adds up part by part in both cases, so ZeRO-1 changes no bit; NCCL's
// order is its own (docs/parallelism.md).
#pragma once

#include <deque>
#include <vector>

#include "comm/process_grid.h"
#include "params/param_store.h"

namespace nexus {

class GradientExchange {
 public:
  GradientExchange(ProcessGrid& grid, ParamStore& params);

  // The gradients of a bucket are final on this rank. Collective, in the same order on every rank.
  void start(int bucket);
  // Waits for all buckets, then leaves in `norm_parts` what Backend::adamw takes as grad_sum_squares.
  void finish();
  const Tensor& norm_parts() const { return norm_parts_; }
  double sum_squares() const;  // their sum, on the host: waits for the device
  // After the update: every rank gets all weights.
  void share_weights();

 private:
  void add_partial_norm_weights(const Bucket& bucket);

  ProcessGrid& grid_;
  ParamStore& params_;
  std::vector<Bucket> buckets_;
  std::vector<std::vector<FlatRange>> ranges_;  // per dp rank: what its part brings into the norm
  Buffer norm_buffer_;
  Tensor norm_parts_;  // f64 [tp * dp]
  std::deque<Communicator::Request> pending_;
};

}  // namespace nexus
