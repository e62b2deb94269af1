// A whole decoder-only language model: embedding, blocks, final norm, head (docs/numerics.md, The function), with
// explicit forward and backward passes. It owns the parameter table; the values live in a ParamStore made from that
// table.
//
// Over tensor-parallel ranks (params/sharding.h) each rank makes the model with its own place in the grid and passes
// the group's communicator in the context; all ranks of a group call the same methods with the same tokens.
//
// Rows are the B * T tokens of a micro-batch, sequence by sequence. Tokens, targets, losses and logits belong to the
// caller. A model remembers activations between forward and backward, so one model serves one micro-batch at a time.
#pragma once

#include <functional>
#include <vector>

#include "layers/embedding.h"
#include "layers/head.h"
#include "model/block.h"
#include "model/model_config.h"

namespace nexus {

class Model {
 public:
  // The gradients of a bucket of the table (ParamTable::buckets) are final for this micro-batch.
  using GradsReady = std::function<void(int bucket)>;

  // Throws ErrorKind::kConfig where the configuration is impossible, or cannot be cut as asked.
  explicit Model(const ModelConfig& config, const Sharding& sharding = {});
  Model(const Model&) = delete;  // stores point at the table
  Model& operator=(const Model&) = delete;

  const ModelConfig& config() const { return config_; }
  const ParamTable& table() const { return table_; }

  // One micro-batch of training. tokens and targets are i32 [rows] (a target of -1 is ignored), losses wide [rows].
  // Adds the gradient of grad_scale * sum(losses) to the store's gradients; grad_scale is 1 / (tokens of the global
  // batch). `ready` hears of every bucket exactly once, last block first.
  void forward_backward(const LayerContext& ctx, const Tensor& tokens, const Tensor& targets, double grad_scale,
                        const Tensor& losses, const GradsReady& ready = {});
  // losses wide [rows], without gradients and in constant memory per layer.
  void evaluate(const LayerContext& ctx, const Tensor& tokens, const Tensor& targets, const Tensor& losses);
  int64_t local_vocab() const;  // logits of this rank
  // out wide [rows, local_vocab].
  void logits(const LayerContext& ctx, const Tensor& tokens, const Tensor& out);

 private:
  // The final norm's output [rows, D]: what the head reads.
  Tensor forward(const LayerContext& ctx, const Tensor& tokens);
  // `dhead` [rows, D]: the gradient that the head left, a partial sum over tensor-parallel ranks.
  void backward(const LayerContext& ctx, const Tensor& tokens, const Tensor& dhead, const GradsReady& ready);

  // Declared in the order of the parameter table: each constructor appends its own parameters.
  ModelConfig config_;
  ParamTable table_;
  Embedding embedding_;
  std::vector<Block> blocks_;
  RowNormLayer norm_;
  Head head_;
};

}  // namespace nexus
