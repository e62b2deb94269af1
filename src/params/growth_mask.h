// The mask on the channels that a growth has added to a width (docs/growth.md, Mask): before norm and GELU their
// entries of h (of a Tokenformer: their scores) are multiplied by m, which goes from 0 to 1 in the first steps of the
// stage. No gradient moves it; it is part of a training state until it is open.
#pragma once

#include <map>

#include "params/param_table.h"

namespace nexus {

struct GrowthMask {
  int64_t begin = 0;  // the first new channel, counted over the whole width; the mask lies on it and all after it
  double m = 0;

  bool operator==(const GrowthMask&) const = default;
};
using GrowthMasks = std::map<Width, GrowthMask>;  // of a width that is not there every channel is open

}  // namespace nexus
