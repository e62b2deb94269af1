// Nexus-Rank projection (arXiv 2604.19147), for one output or for q, k and v at once:
//
//   h1 = W_M x    a1 = GELU(n(h1))    h2 = W_A a1    a2 = GELU(n(h2))    y = W_D a2
//
// PREFIX.w_m [M, D], PREFIX.w_a [A, M], PREFIX.w_d [O, A] per group. n is the identity or h / (||h|| + 1e-5) * sqrt(O):
// the scale uses O, which growth never changes, so zero rows stay silent and lossless. Where the store has a NormScale
// for the width of h, that says the scale; where it has a GrowthMask, new channels of h are multiplied by its m first.
//
// Over p tensor-parallel ranks (docs/parallelism.md) a rank has M / p rows of W_M, A / p rows of W_A and A / p
// columns of W_D. The two norms need the squares of whole rows, added up over the ranks; W_A needs whole rows of a1,
// which are gathered: M is the narrowest place of the chain.
#pragma once

#include "layers/matrix.h"
#include "layers/split_edges.h"

namespace nexus {

struct NexusRankOptions {
  int64_t d = 0;
  int64_t m = 0;  // middle width
  Width m_width;
  int64_t a = 0;              // outer width
  Width a_width;              // kFixedWidth in the MLP, whose outer width F never grows
  std::vector<int64_t> outs;  // O of each group
  NormKind norm = NormKind::kL2;
  GeluKind gelu = GeluKind::kErf;
  Place place = Place::kMlp;
  MatrixInit init{};
};

class NexusRank : public Projection {
 public:
  // One group per prefix. The table gets all W_M, then all W_A, then all W_D.
  NexusRank(ParamTable& table, const std::vector<std::string>& prefixes, const NexusRankOptions& options);

  int64_t out_width() const override { return edges_.out_width(); }
  void forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) override;
  void backward(const LayerContext& ctx, const Tensor& dy, const Tensor& dx) override;

 private:
  // h [rows, G, width of this rank], a = GELU(n(h)), and the norm's row scale [rows, G] (undefined without norm). The
  // backward pass reads `a` only where the context keeps activations.
  struct Stage {
    Tensor h, a, scale;
  };
  Stage make_stage(const LayerContext& ctx, int64_t width) const;
  // GELU(n(h)) over the channels of a width.
  NormGelu activation(const LayerContext& ctx, const Width& width) const;
  // a1 and a2, allocated in the current frame.
  Tensor activate_first(const LayerContext& ctx) const;
  Tensor activate_second(const LayerContext& ctx) const;
  void backward_middle(const LayerContext& ctx, const Tensor& d2, const Tensor& d1) const;

  int64_t groups_, m_whole_, m_, a_;  // m_ and a_ of this rank
  Width m_width_, a_width_;
  NormGelu activation_;
  StackedMatrix w_m_;
  GroupedMatrix w_a_, w_d_;
  SplitEdges edges_;
  Tensor x_;
  Stage stage1_, stage2_;  // stage1_.a is whole: [rows, G, M]
};

}  // namespace nexus
