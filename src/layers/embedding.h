// Token embedding, the input layer of text: row tokens[r] of a matrix [V, D].
#pragma once

#include <string>

#include "layers/input_layer.h"

namespace nexus {

class Embedding : public InputLayer {
 public:
  Embedding(ParamTable& table, const std::string& weight_name, int64_t vocab, int64_t d);

  int param() const { return weight_; }  // a tied head shares it
  // "tokens" i32 [T], each in [0, V).
  BatchFields fields(int64_t positions) const override;
  // Over tensor-parallel ranks each has a slice of the vocabulary: `out` is zero where another rank has the token.
  void forward(const LayerContext& ctx, const Batch& batch, const Tensor& out) const override;
  void backward(const LayerContext& ctx, const Batch& batch, const Tensor& dout) const override;

 private:
  int64_t first_token(const LayerContext& ctx) const;

  int weight_;
};

}  // namespace nexus
