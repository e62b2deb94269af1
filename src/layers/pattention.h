// Pattention, attention over parameter tokens (Tokenformer, arXiv 2410.23168):
//
//   s = x K^T    y = GELU(s / ||s|| * sqrt(n_scale)) V
//
// PREFIX.key [n, D], PREFIX.value [n, O] per group. The norm has no epsilon: a zero row gives a zero output. n_scale is
// a constant of the model, equal to n at birth; growth policies say whether it follows n. Where the store has a
// GrowthMask for the parameter tokens, new scores are multiplied by its m first.
//
// Over p tensor-parallel ranks a rank has n / p of the parameter tokens, keys and values; the norm adds up its squares
// over the ranks.
#pragma once

#include "layers/matrix.h"
#include "layers/split_edges.h"

namespace nexus {

struct PattentionOptions {
  int64_t d = 0;
  int64_t tokens = 0;  // n
  Width tokens_width;
  int64_t scale_tokens = 0;   // n_scale
  std::vector<int64_t> outs;  // O of each group
  GeluKind gelu = GeluKind::kErf;
  double key_std = kPublishedStd, value_std = kPublishedStd;  // at birth
  Place place = Place::kMlp;
};

class Pattention : public Projection {
 public:
  // One group per prefix. The table gets all keys, then all values.
  Pattention(ParamTable& table, const std::vector<std::string>& prefixes, const PattentionOptions& options);

  int64_t out_width() const override { return edges_.out_width(); }
  void forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) override;
  void backward(const LayerContext& ctx, const Tensor& dy, const Tensor& dx) override;

 private:
  Tensor activate(const LayerContext& ctx) const;  // a, allocated in the current frame

  int64_t groups_, tokens_;  // tokens of this rank
  Width tokens_width_;
  NormGelu activation_;
  StackedMatrix key_;
  GroupedMatrix value_;
  SplitEdges edges_;
  Tensor x_, s_, scale_;  // input; [rows, G, n]; wide [rows, G]
  Tensor a_;              // [rows, G, n]; for a backward pass whose context keeps activations
};

}  // namespace nexus
