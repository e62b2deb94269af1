// Matrix products of the CPU back end. f32 goes to oneDNN where it was found at build time: it measured 15 to 35 %
// faster than OpenBLAS for forward, input-gradient and weight-gradient products of widths 192 to 512
// (tests/bench/bench_kernels, Ice Lake). bf16 goes there where the processor multiplies bf16, and is otherwise
// converted to f32: oneDNN's emulation is 2.5 times slower than that. f64 goes to OpenBLAS.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/mat.h"
#include "core/library_version.h"

namespace nexus::cpu {

// Products through oneDNN's matmul primitive. Primitives are generated once per shape, stride, type and beta, and kept.
class OneDnnMatmul {
 public:
  // Null where nexus was built without oneDNN.
  static std::unique_ptr<OneDnnMatmul> make();
  virtual ~OneDnnMatmul() = default;

  // c = a b + beta c. False, and c untouched, where oneDNN has no optimised kernel for these types on this processor.
  virtual bool run(const Mat& a, const Mat& b, const Mat& c, float beta) = 0;
  // Whether the processor has instructions for products of bf16.
  virtual bool has_native_bf16() const = 0;
  // Version and effective instruction set.
  virtual std::string description() const = 0;
};

// The same through OpenBLAS, for f32 and f64.
void blas_matmul(const Mat& a, const Mat& b, const Mat& c, float beta);
// Version, core type, and a hint where another core type is known to be faster.
std::string blas_description();

std::vector<LibraryVersion> onednn_libraries();  // none where it is not in this build

// Picks the library, and converts where no library takes the types.
class Matmul {
 public:
  // c = a b + beta c of shapes that have been checked.
  void run(const Mat& a, const Mat& b, const Mat& c, float beta);
  std::string description() const;

 private:
  void run_f32(const Mat& a, const Mat& b, const Mat& c, float beta);
  void run_converted(const Mat& a, const Mat& b, const Mat& c, float beta);

  std::unique_ptr<OneDnnMatmul> onednn_ = OneDnnMatmul::make();
  Buffer converted_[3];  // f32 copies of bf16 operands; they grow to the largest and stay
};

}  // namespace nexus::cpu
