#include "accounting/device_memory.h"

namespace nexus {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

// Guesses, to be replaced by what was measured on an H200: the device's used memory after the back end is made, and
// after the first step, less nexus's own buffers.
constexpr int64_t kContextBytes = 600 * kMiB;
constexpr int64_t kScratchBytes = 32 * kMiB;
constexpr int64_t kCommunicatorBytes = 256 * kMiB;

// cuda/matmul.h asks for as much (Matmul::kWorkspaceBytes).
constexpr int64_t kMatmulBytes = 64 * kMiB;

// Rows of a head that cuDNN's backward pass works on at a time; its workspace is padded to whole tiles.
constexpr int64_t kAttentionTile = 128;

// cuDNN attends in bf16 only: dQ added up in f32, and two f32 numbers per row. The deterministic variant stores the
// gradients of the scores, a square per head, instead of adding atomically.
int64_t attention_bytes(const ModelConfig& config, const DeviceLoad& load, const Sharding& sharding) {
  if (load.compute != DType::kBF16) return 0;
  const int64_t rows = (load.context + kAttentionTile - 1) / kAttentionTile * kAttentionTile;
  const int64_t heads = load.micro * (config.heads / sharding.tp_size);
  const int64_t wide = size_of(DType::kF32);
  const int64_t scores = load.deterministic ? rows * rows * size_of(DType::kBF16) : 0;
  return heads * (rows * config.head_dim() * wide + rows * 2 * wide + scores);
}

}  // namespace

DeviceOverhead device_overhead(const ModelConfig& config, const DeviceLoad& load, const Sharding& sharding) {
  const int64_t communicators = (sharding.dp_size > 1 ? 1 : 0) + (sharding.tp_size > 1 ? 1 : 0);
  return {kContextBytes, kMatmulBytes, attention_bytes(config, load, sharding), kScratchBytes,
          communicators * kCommunicatorBytes};
}

}  // namespace nexus
