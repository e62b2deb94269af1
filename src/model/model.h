// A whole model: the workload's input layer, blocks, final norm, the workload's output layer (docs/numerics.md, The
// function), with explicit forward and backward passes. It owns the parameter table; the values live in a ParamStore
// made from that table.
//
// Over tensor-parallel ranks (params/sharding.h) each rank makes the model with its own place in the grid and passes
// the group's communicator in the context; all ranks of a group call the same methods with the same batch.
//
// Rows are the B * T positions of a micro-batch, sample by sample. The batch, with the fields that `batch_fields`
// names, and losses, figures and predictions belong to the caller. A model remembers activations between forward and
// backward, so one model serves one micro-batch at a time.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "layers/input_layer.h"
#include "layers/output_layer.h"
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

  // What a batch of samples of `positions` rows must have, of which the output layer reads `outputs`.
  BatchFields batch_fields(int64_t positions) const { return batch_fields(positions, positions); }
  BatchFields batch_fields(int64_t positions, int64_t outputs) const;
  const OutputLayer& output() const { return *output_; }
  // Of one sample, on this rank.
  int64_t predictions_per_sample(int64_t positions) const { return output_->predictions_per_sample(table_, positions); }

  // One micro-batch of training. losses wide [samples, losses_per_sample]. Adds the gradient of grad_scale *
  // sum(losses) to the store's gradients; grad_scale is 1 / (losses of the global batch). `ready` hears of every bucket
  // exactly once, last block first.
  void forward_backward(const LayerContext& ctx, const Batch& batch, double grad_scale, const Tensor& losses,
                        const GradsReady& ready = {});
  // figures wide [samples, figures_per_sample], without gradients and in constant memory per layer.
  void evaluate(const LayerContext& ctx, const Batch& batch, const Tensor& figures);
  // The next two also take ragged rows (LayerContext::ragged), as one sample of which the output layer reads `outputs`.
  // out wide [samples, predictions_per_sample].
  void predict(const LayerContext& ctx, const Batch& batch, const Tensor& out);
  // out wide [tensor-parallel ranks, rows or outputs, 3]: OutputLayer::softmax_statistics.
  void softmax_statistics(const LayerContext& ctx, const Batch& batch, const Tensor& out);

 private:
  // The final norm's output [rows, D]: what the output layer reads.
  Tensor forward(const LayerContext& ctx, const Batch& batch);
  // Calls `use` with the context and the rows that the output layer reads, of an evaluation.
  void forward_to_outputs(const LayerContext& ctx, const Batch& batch,
                          const std::function<void(const LayerContext& ctx, const Tensor& x)>& use);
  // `dout` [rows, D]: the gradient that the output layer left, a partial sum over tensor-parallel ranks.
  void backward(const LayerContext& ctx, const Batch& batch, const Tensor& dout, const GradsReady& ready);

  // Declared in the order of the parameter table: each constructor appends its own parameters.
  ModelConfig config_;
  ParamTable table_;
  std::unique_ptr<InputLayer> input_;
  std::vector<Block> blocks_;
  RowNormLayer norm_;
  std::unique_ptr<OutputLayer> output_;
};

}  // namespace nexus
