// How a model's parameters and activations are spread over a dp x tp grid, and where this rank stands in it
// (docs/parallelism.md).
#pragma once

namespace nexus {

struct Sharding {
  int tp_rank = 0, tp_size = 1;  // tensors are cut along ParamSpec::shard_axis
  int dp_rank = 0, dp_size = 1;
  bool zero = false;      // ZeRO-1: master weights and moments exist once over the dp ranks
  bool sequence = false;  // residual stream and norms hold rows / tp_size of the tokens (Korthikanti et al. 2022)

  bool operator==(const Sharding&) const = default;
};

}  // namespace nexus
