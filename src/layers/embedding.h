// Token embedding: row tokens[r] of `embed.weight` [V, D].
#pragma once

#include <string>

#include "layers/context.h"

namespace nexus {

class Embedding {
 public:
  Embedding(ParamTable& table, const std::string& weight_name, int64_t vocab, int64_t d);

  int param() const { return weight_; }  // a tied head shares it
  // tokens i32 [rows], each in [0, V); out [rows, D]. Over tensor-parallel ranks each has a slice of the vocabulary,
  // and `out` is a partial sum: zero where another rank has the token.
  void forward(const LayerContext& ctx, const Tensor& tokens, const Tensor& out) const;
  void backward(const LayerContext& ctx, const Tensor& tokens, const Tensor& dout) const;

 private:
  int64_t first_token(const LayerContext& ctx) const;

  int weight_;
};

}  // namespace nexus
