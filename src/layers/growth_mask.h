// The mask on new channels (params/growth_mask.h) as layers apply it.
#pragma once

#include "layers/context.h"

namespace nexus {

// h [..., width / p] of this rank, in place: the channels of `width` that a mask of the store lies on, times m. For h
// itself before its norm, and for the gradient that comes back out of it. Without a mask nothing is done.
void apply_growth_mask(const LayerContext& ctx, const Width& width, const Tensor& h);

}  // namespace nexus
