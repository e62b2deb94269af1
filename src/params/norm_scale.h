// The scale c of norm l2 over the channels of a width of the model (docs/growth.md, Norm scale):
//
//   c^2 = O gain (1 + (growth - 1) share)
//
// No gradient moves it: a growth sets `growth`, the steps of its stage take `share` from 0 to 1. It is part of a
// training state, and the published code, which knows sqrt(O) only, cannot compute a model in which it is another.
#pragma once

#include <map>

#include "params/param_table.h"

namespace nexus {

struct NormScale {
  double gain = 1, growth = 1, share = 0;

  double squared() const { return gain * (1 + (growth - 1) * share); }  // c^2 / O
  bool operator==(const NormScale&) const = default;
};
using NormScales = std::map<Width, NormScale>;  // of a width that is not there c is sqrt(O)

}  // namespace nexus
