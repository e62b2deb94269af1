// What a GPU holds besides the buffers that nexus asks its back end for: an estimate, while those are exact.
#pragma once

#include <cstdint>

#include "model/model_config.h"
#include "params/sharding.h"

namespace nexus {

struct DeviceOverhead {
  int64_t context_bytes = 0;        // the driver's context, code, the libraries' handles: there before the first buffer
  int64_t matmul_bytes = 0;         // workspace of matrix products
  int64_t attention_bytes = 0;      // workspace of the attention's backward pass
  int64_t scratch_bytes = 0;        // of kernels: partial sums, tables
  int64_t communication_bytes = 0;  // NCCL's buffers, of every communicator of more than one rank
  // What comes after the context, while buffers are being allocated.
  int64_t workspace_bytes() const { return matmul_bytes + attention_bytes + scratch_bytes + communication_bytes; }
  int64_t total_bytes() const { return context_bytes + workspace_bytes(); }
};

// What shapes attention's workspace.
struct DeviceLoad {
  DType compute = DType::kBF16;
  int64_t micro = 0, context = 0;
  bool deterministic = false;
};

DeviceOverhead device_overhead(const ModelConfig& config, const DeviceLoad& load, const Sharding& sharding);

}  // namespace nexus
