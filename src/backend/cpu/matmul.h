// Matrix products of the CPU back end: oneDNN where it was found at build time, OpenBLAS otherwise and for f64.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"

namespace nexus::cpu {

// Products through oneDNN's matmul primitive. Primitives are generated once per shape, stride, type and beta, and kept.
class OneDnnMatmul {
 public:
  // Null where nexus was built without oneDNN.
  static std::unique_ptr<OneDnnMatmul> make();
  virtual ~OneDnnMatmul() = default;

  // c = a b + beta c. False, and c untouched, where oneDNN has no optimised kernel for these types on this processor.
  virtual bool run(const Mat& a, const Mat& b, const Mat& c, float beta) = 0;
  // Version and effective instruction set.
  virtual std::string description() const = 0;
  // Whether bf16 products run in oneDNN here (natively or emulated).
  virtual std::string bf16_path() const = 0;
};

// The same through OpenBLAS: f64 and f32 directly; bf16 operands are converted to f32 first.
void blas_matmul(const Mat& a, const Mat& b, const Mat& c, float beta);
// Version, core type, and a hint where another core type is known to be faster.
std::string blas_description();

}  // namespace nexus::cpu
