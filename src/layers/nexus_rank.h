// Nexus-Rank projection (arXiv 2604.19147; nexusformer.md section 1), for one output or for q, k and v at once:
//
//   h1 = W_M x    a1 = GELU(n(h1))    h2 = W_A a1    a2 = GELU(n(h2))    y = W_D a2
//
// PREFIX.w_m [M, D], PREFIX.w_a [A, M], PREFIX.w_d [O, A] per group. n is the identity or h / (||h|| + 1e-5) * sqrt(O):
// the scale uses O, which growth never changes, so zero rows stay silent and lossless.
#pragma once

#include "layers/matrix.h"
#include "layers/projection.h"

namespace nexus {

struct NexusRankOptions {
  int64_t d = 0;
  int64_t m = 0;              // middle width, grows with Width::kM
  int64_t a = 0;              // outer width
  Width a_width = Width::kA;  // kFixed in the MLP, whose outer width F never grows
  std::vector<int64_t> outs;  // O of each group
  NormKind norm = NormKind::kL2;
  GeluKind gelu = GeluKind::kErf;
};

class NexusRank : public Projection {
 public:
  // One group per prefix. The table gets all W_M, then all W_A, then all W_D.
  NexusRank(ParamTable& table, const std::vector<std::string>& prefixes, const NexusRankOptions& options);

  int64_t out_width() const override { return w_d_.out_width(); }
  void forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) override;
  void backward(const LayerContext& ctx, const Tensor& dy, const Tensor& dx) override;

 private:
  // h [rows, G, width], a = GELU(n(h)) and the norm's row scale [rows, G] (undefined without norm).
  struct Stage {
    Tensor h, a, scale;
  };
  Stage make_stage(const LayerContext& ctx, int64_t width) const;

  int64_t groups_, m_, a_;
  NormGelu activation_;
  StackedMatrix w_m_;
  GroupedMatrix w_a_, w_d_;
  Tensor x_;
  Stage stage1_, stage2_;
};

}  // namespace nexus
