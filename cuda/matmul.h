// Matrix products by cuBLASLt: bf16 or f32 operands, f32 accumulation, results in the operands' type or f32.
//
// The first product of a shape times the candidates of the library's heuristic on the real operands (which waits for
// the device, and computes nothing twice into a result that adds up) and keeps the fastest; the choice is kept in
// memory and, across runs, in a file of the cache folder, keyed by shape, types, layout, alignment, device and library
// version. With `deterministic` the heuristic's first answer is taken untimed, so that a rerun makes the same choice.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "backend/mat.h"
#include "cuda/queue.h"

namespace nexus::cuda {

struct MatmulOptions {
  bool deterministic = false;
  std::string cache_folder;  // empty: no file
};

class Matmul {
 public:
  static constexpr int64_t kWorkspaceBytes = int64_t{64} << 20;

  Matmul(Queue& queue, const MatmulOptions& options);
  ~Matmul();
  // c = a b + beta c of checked operands; throws ErrorKind::kConfig for f64.
  void run(const Mat& a, const Mat& b, const Mat& c, float beta);
  std::string description() const;  // "cuBLASLt 13.0.2"

  // For tests: products whose candidates were timed here, not remembered; and the file, empty if there is none.
  int64_t timed_choices() const;
  std::string choices_path() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// What cuBLASLt refuses: our own kernel (matmul_fallback.cu).
void matmul_fallback(const Mat& a, const Mat& b, const Mat& c, float beta, Queue& queue);

}  // namespace nexus::cuda
