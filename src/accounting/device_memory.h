// What a GPU holds besides the buffers that nexus asks its back end for: an estimate, while those are exact.
#pragma once

#include <cstdint>

#include "model/model_config.h"
#include "params/sharding.h"

namespace nexus {

struct DeviceOverhead {
  // There before the first buffer of a stage: the back end and the grid of ranks take them when they are made.
  int64_t context_bytes = 0;        // the driver's context, code, the libraries' handles
  int64_t matmul_bytes = 0;         // workspace of matrix products
  int64_t communication_bytes = 0;  // NCCL's buffers, of every communicator of more than one rank
  // Taken by the operations that need them, in the first step: beside all buffers.
  int64_t attention_bytes = 0;  // workspace of the attention's backward pass
  int64_t scratch_bytes = 0;    // of kernels: partial sums, tables

  // What must still be free once a stage has its buffers.
  int64_t pending_bytes() const { return attention_bytes + scratch_bytes; }
  int64_t total_bytes() const { return context_bytes + matmul_bytes + communication_bytes + pending_bytes(); }
};

// What shapes attention's workspace.
struct DeviceLoad {
  DType compute = DType::kBF16;
  int64_t micro = 0, context = 0;
  bool deterministic = false;
};

DeviceOverhead device_overhead(const ModelConfig& config, const DeviceLoad& load, const Sharding& sharding);

}  // namespace nexus
