// The residual stream and the norm that opens every branch of a block.
#pragma once

#include <string>

#include "layers/context.h"

namespace nexus {

// x after some blocks, and the last branch's output that is not yet added to it (undefined at the start). The next norm
// adds it in its own pass over x. Both are [stream_rows, D].
struct ResidualStream {
  Tensor x;
  Tensor pending;
  // Scratch of all branches where rows are split over ranks, undefined otherwise: a norm's output before its rows are
  // gathered [stream_rows, D], and a branch's partial sums [rows, D].
  Tensor normed{}, partial{};
};

// x += pending, then y = n(x) * weight. RMSNorm (Zhang and Sennrich 2019) or LayerNorm without bias (Ba et al. 2016),
// with a weight or, as in Tokenformer's blocks, without one.
class RowNormLayer {
 public:
  // An empty name makes a norm without weight.
  RowNormLayer(ParamTable& table, const std::string& weight_name, int64_t d, RowNorm op);

  // Writes y [rows, D] and adds the stream's pending output.
  void forward(const LayerContext& ctx, ResidualStream& stream, const Tensor& y);
  // dx += gradient through the norm, from dy.
  void backward(const LayerContext& ctx, const Tensor& dy, const Tensor& dx);

 private:
  RowNorm op_;
  int weight_ = -1;
  Tensor x_, stats_;
};

}  // namespace nexus
