// One layer of a decoder: x += attention(norm(x)); x += mlp(norm(x)). The same for every architecture; what differs are
// the projections and norms it is made of (architectures.h).
#pragma once

#include <memory>

#include "layers/row_norm.h"
#include "layers/self_attention.h"

namespace nexus {

class Block {
 public:
  // Table entries [first, end) belong to the block.
  struct ParamRange {
    int first = 0, end = 0;
  };
  Block(ParamRange params, RowNormLayer attention_norm, SelfAttention attention, RowNormLayer mlp_norm,
        std::unique_ptr<Projection> mlp);

  const ParamRange& params() const { return params_; }

  // Leaves the MLP's output pending in the stream. `spare` [rows, D] is an evaluation's second buffer, undefined in a
  // training pass, where every branch keeps its output.
  void forward(const LayerContext& ctx, ResidualStream& stream, const Tensor& spare);
  // dx [rows, D]: gradient of the block's output on entry, of its input on return.
  void backward(const LayerContext& ctx, const Tensor& dx);

 private:
  ParamRange params_;
  RowNormLayer attention_norm_, mlp_norm_;
  SelfAttention attention_;
  std::unique_ptr<Projection> mlp_;
};

}  // namespace nexus
