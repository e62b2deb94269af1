// One layer of a decoder: x += attention(norm(x)); x += mlp(norm(x)). The same for every architecture; what differs are
// the projections and norms it is made of (architecture.h).
#pragma once

#include <memory>

#include "layers/row_norm.h"
#include "layers/self_attention.h"

namespace nexus {

class Block {
 public:
  Block(RowNormLayer attention_norm, SelfAttention attention, RowNormLayer mlp_norm, std::unique_ptr<Projection> mlp);

  // Leaves the MLP's output pending in the stream. `spare` [stream_rows, D] is an evaluation's second buffer, undefined
  // in a training pass, where every branch keeps its output.
  void forward(const LayerContext& ctx, ResidualStream& stream, const Tensor& spare);
  // dx [stream_rows, D]: gradient of the block's output on entry, of its input on return.
  void backward(const LayerContext& ctx, const Tensor& dx);

 private:
  RowNormLayer attention_norm_, mlp_norm_;
  SelfAttention attention_;
  std::unique_ptr<Projection> mlp_;
};

}  // namespace nexus
