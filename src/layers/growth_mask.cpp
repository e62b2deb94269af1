#include "layers/growth_mask.h"

#include <algorithm>

namespace nexus {

void apply_growth_mask(const LayerContext& ctx, const Width& width, const Tensor& h) {
  const auto mask = ctx.params.growth_masks().find(width);
  if (mask == ctx.params.growth_masks().end()) return;
  const int64_t local = h.shape[h.shape.rank() - 1];
  const int64_t begin = mask->second.begin - ctx.params.table().sharding().tp_rank * local;  // in this rank's share
  if (begin < local) ctx.backend.run(ops::ScaleColumns{h, std::max<int64_t>(begin, 0), mask->second.m});
}

}  // namespace nexus
