// What CPU kernels share, and how one is found: `compute` of an operation of backend/ops/ is specialised in the kernel
// file of its family. Operands have been checked. Most kernels are templates over the storage scalar T (scalar.h).
#pragma once

#include "backend/backend.h"
#include "backend/cpu/matmul.h"

namespace nexus::cpu {

struct Device {
  Matmul matmul;
};

template <typename Op>
void compute(const Op& op, Device& device);

}  // namespace nexus::cpu
