#include "layers/split_edges.h"

#include <numeric>
#include <utility>

#include "layers/tensor_parallel.h"

namespace nexus {
namespace {

Tensor gathered(const LayerContext& ctx, const Tensor& local, const std::vector<int64_t>& widths, int64_t whole) {
  const Tensor full = ctx.alloc({ctx.rows(), whole});
  gather_columns(ctx, local, widths, full);
  return full;
}

void reduced(const LayerContext& ctx, const Tensor& local, const std::vector<int64_t>& widths, int64_t whole,
             const std::function<void(const Tensor&)>& product) {
  const Arena::Frame frame(ctx.arena);
  const Tensor partial = ctx.alloc({ctx.rows(), whole});
  product(partial);
  reduce_scatter_columns(ctx, partial, widths, local);
}

}  // namespace

SplitEdges::SplitEdges(const ParamTable& table, Place place, int64_t d, std::vector<int64_t> outs)
    : splits_input_(place == Place::kO && table.sharding().tp_size > 1),
      splits_output_(place == Place::kQkv && table.sharding().tp_size > 1),
      d_(d),
      out_whole_(std::accumulate(outs.begin(), outs.end(), int64_t{0})),
      tp_size_(table.sharding().tp_size),
      outs_(std::move(outs)) {}

int64_t SplitEdges::out_width() const {
  return splits_output_ ? out_whole_ / tp_size_ : out_whole_;
}

Tensor SplitEdges::whole_input(const LayerContext& ctx, const Tensor& x) const {
  return splits_input_ ? gathered(ctx, x, {d_}, d_) : x;
}

void SplitEdges::reduce_output(const LayerContext& ctx, const Tensor& y,
                               const std::function<void(const Tensor&)>& product) const {
  if (splits_output_)
    reduced(ctx, y, outs_, out_whole_, product);
  else
    product(y);
}

Tensor SplitEdges::whole_output_gradient(const LayerContext& ctx, const Tensor& dy) const {
  return splits_output_ ? gathered(ctx, dy, outs_, out_whole_) : dy;
}

void SplitEdges::reduce_input_gradient(const LayerContext& ctx, const Tensor& dx,
                                       const std::function<void(const Tensor&)>& product) const {
  if (splits_input_)
    reduced(ctx, dx, {d_}, d_, product);
  else
    product(dx);
}

}  // namespace nexus
