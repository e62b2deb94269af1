// Which weight or moment is not finite: asked only once it is known that one is.
#pragma once

#include <string>

#include "comm/process_grid.h"
#include "params/param_store.h"

namespace nexus {

// "moment2 of layers.0.attn.q.w_m, element 17, is inf": the first such value of this rank's weights and moments; "" if
// all are finite. Copies them to the host, tensor by tensor.
std::string nonfinite_state(const ParamStore& params);

// Collective: throws ErrorKind::kNumeric on every rank, naming the first rank and its value.
[[noreturn]] void refuse_nonfinite_state(ProcessGrid& grid, const ParamStore& params);

}  // namespace nexus
