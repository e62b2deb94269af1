// A whole decoder-only language model: embedding, blocks, final norm, head (nexusformer.md section 1), with explicit
// forward and backward passes. It owns the parameter table; the values live in a ParamStore made from that table.
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
  // The gradients of table entries [first, last) are final for this micro-batch.
  using GradsReady = std::function<void(int first, int last)>;

  // Throws ErrorKind::kConfig where the configuration is impossible (ModelConfig::validate).
  explicit Model(const ModelConfig& config);
  Model(const Model&) = delete;  // stores point at the table
  Model& operator=(const Model&) = delete;

  const ModelConfig& config() const { return config_; }
  const ParamTable& table() const { return table_; }

  // One micro-batch of training. tokens and targets are i32 [rows] (a target of -1 is ignored), losses wide [rows].
  // Adds the gradient of grad_scale * sum(losses) to the store's gradients; grad_scale is 1 / (tokens of the global
  // batch). `ready` hears of every table entry exactly once, last block first.
  void forward_backward(const LayerContext& ctx, const Tensor& tokens, const Tensor& targets, float grad_scale,
                        const Tensor& losses, const GradsReady& ready = {});
  // losses wide [rows], without gradients and in constant memory per layer.
  void evaluate(const LayerContext& ctx, const Tensor& tokens, const Tensor& targets, const Tensor& losses);
  // out wide [rows, V].
  void logits(const LayerContext& ctx, const Tensor& tokens, const Tensor& out);

 private:
  // The final norm's output [rows, D]: what the head reads.
  Tensor forward(const LayerContext& ctx, const Tensor& tokens);
  void backward(const LayerContext& ctx, const Tensor& tokens, const Tensor& dnormed, const GradsReady& ready);

  // Declared in the order of the parameter table: each constructor appends its own parameters.
  ModelConfig config_;
  ParamTable table_;
  Embedding embedding_;
  std::vector<Block> blocks_;
  RowNormLayer norm_;
  Head head_;
};

}  // namespace nexus
