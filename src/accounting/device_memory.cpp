#include "accounting/device_memory.h"

#include <algorithm>

namespace nexus {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

// Measured on H200s with CUDA 13.0 and NCCL 2.28 (docs/performance.md): memory in use on the device after some steps,
// less nexus's own buffers and the terms below.
constexpr int64_t kContextBytes = 500 * kMiB;
constexpr int64_t kScratchBytes = 32 * kMiB;
constexpr int64_t kCommunicatorBytes = 850 * kMiB;

// cuda/matmul.h asks for as much (Matmul::kWorkspaceBytes).
constexpr int64_t kMatmulBytes = 64 * kMiB;

// Rows of a head that cuDNN's backward pass works on at a time; its workspace is padded to whole tiles.
constexpr int64_t kAttentionTile = 128;

// The deterministic backward pass takes as many sequences at a time as this holds, but at least one
// (cuda/cudnn_attention.cpp).
constexpr int64_t kDeterministicBytes = 1024 * kMiB;

// cuDNN attends in bf16 only: dQ added up in f32, and two f32 numbers per row. The deterministic variant stores the
// gradients of the scores, a square per head, instead of adding atomically.
int64_t attention_bytes(const ModelConfig& config, const DeviceLoad& load, const Sharding& sharding) {
  if (load.compute != DType::kBF16) return 0;
  const int64_t rows = (load.context + kAttentionTile - 1) / kAttentionTile * kAttentionTile;
  const int64_t heads = load.micro * (config.heads / sharding.tp_size);
  const int64_t wide = size_of(DType::kF32);
  const int64_t of_sequence = heads / load.micro * rows * rows * size_of(DType::kBF16);
  const int64_t scores = std::min(load.micro * of_sequence, std::max(of_sequence, kDeterministicBytes));
  return heads * (rows * config.head_dim() * wide + rows * 2 * wide) + (load.deterministic ? scores : 0);
}

}  // namespace

DeviceOverhead device_overhead(const ModelConfig& config, const DeviceLoad& load, const Sharding& sharding) {
  const int64_t communicators = (sharding.dp_size > 1 ? 1 : 0) + (sharding.tp_size > 1 ? 1 : 0);
  return {kContextBytes, kMatmulBytes, communicators * kCommunicatorBytes, attention_bytes(config, load, sharding),
          kScratchBytes};
}

}  // namespace nexus
