// The edges of a projection whose first matrix wants whole rows and whose last one leaves partial sums (Nexus-Rank,
// Pattention), where its neighbours hold this rank's heads only: kQkv gives heads away, kO receives them. Everywhere
// else, and on one rank, the edges pass tensors through.
#pragma once

#include <functional>

#include "layers/projection.h"

namespace nexus {

class SplitEdges {
 public:
  // `d` columns of x, groups of `outs` columns of y, of the whole layer.
  SplitEdges(const ParamTable& table, Place place, int64_t d, std::vector<int64_t> outs);

  int64_t out_width() const;  // of y on this rank

  // x as the first matrix wants it; allocated in the current frame where it must be gathered.
  Tensor whole_input(const LayerContext& ctx, const Tensor& x) const;
  // Calls `product(partial y of all outputs)`, then leaves in y what this rank's caller expects.
  void reduce_output(const LayerContext& ctx, const Tensor& y, const std::function<void(const Tensor&)>& product) const;
  // The same for the gradients.
  Tensor whole_output_gradient(const LayerContext& ctx, const Tensor& dy) const;
  void reduce_input_gradient(const LayerContext& ctx, const Tensor& dx,
                             const std::function<void(const Tensor&)>& product) const;

 private:
  bool splits_input_, splits_output_;
  int64_t d_, out_whole_ = 0;
  int tp_size_;
  std::vector<int64_t> outs_;
};

}  // namespace nexus
