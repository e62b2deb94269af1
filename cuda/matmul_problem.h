// One shape of matrix product in the terms of cuBLASLt: its descriptors, the algorithms that the library suggests for
// it, and the launch.
//
// cuBLASLt thinks in columns, nexus in rows. A row-major matrix read by columns is its own transpose, so the library is
// asked for c^T = b^T a^T: our b is its first operand, our a its second, and nothing has to move. This keeps to the
// column order, which every algorithm of the library knows.
#pragma once

#include <cublasLt.h>

#include <cstdint>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "cuda/queue.h"

namespace nexus::cuda {

using MatmulAlgorithm = cublasLtMatmulAlgo_t;

struct OperandKey {
  int64_t ld = 0, batch_stride = 0;  // the stride of a single matrix means nothing and is 0 here
  int32_t alignment = 0;             // of every first element of a batch, in bytes: 2, 4, 8, or 16 for anything better
  DType dtype = DType::kF32;
  bool transposed = false;
  bool operator==(const OperandKey&) const = default;
};

// All that the choice of an algorithm may depend on: c [m, n] = a [m, k] b [k, n] + beta c, `batch` times.
struct MatmulKey {
  MatmulKey(const Mat& left, const Mat& right, const Mat& result, float beta);
  bool operator==(const MatmulKey&) const = default;
  double flop() const;
  // One line without a newline that tells every key from every other.
  std::string text() const;

  int64_t m, n, k, batch;
  OperandKey a, b, c;
  bool adds;  // beta is 1, not 0
};

struct MatmulKeyHash {
  size_t operator()(const MatmulKey& key) const;
};

// Throws ErrorKind::kDevice, or kConfig where memory is short: "OPERATION: TEXT (NAME); PRODUCT; CURE". `key` may be
// null.
void check_cublas(cublasStatus_t status, const char* operation, const MatmulKey* key = nullptr);

// The descriptors of a key. Plain memory: it is copied and moved freely.
class MatmulProblem {
 public:
  explicit MatmulProblem(const MatmulKey& key);

 private:
  friend class MatmulLibrary;
  cublasLtMatmulDescOpaque_t product_{};
  cublasLtMatrixLayoutOpaque_t a_{}, b_{}, c_{};
};

// cuBLASLt with its workspace, for the stream of one queue.
class MatmulLibrary {
 public:
  MatmulLibrary(Queue& queue, int64_t workspace_bytes);
  ~MatmulLibrary();
  MatmulLibrary(const MatmulLibrary&) = delete;
  MatmulLibrary& operator=(const MatmulLibrary&) = delete;

  static int64_t version();  // 130002 of 13.0.2

  // At most `most` algorithms, the heuristic's favourite first; none where the library cannot compute the product.
  std::vector<MatmulAlgorithm> suggestions(const MatmulKey& key, MatmulProblem& problem, int most);
  // Whether an algorithm that was not suggested in this process computes the product within the workspace.
  bool accepts(MatmulProblem& problem, const MatmulAlgorithm& algorithm);
  cublasStatus_t launch(MatmulProblem& problem, const MatmulAlgorithm& algorithm, const void* a, const void* b, void* c,
                        float beta);

 private:
  Queue& queue_;
  uint64_t workspace_bytes_;
  DeviceMemoryBlock workspace_;
  cublasLtHandle_t handle_ = nullptr;
};

}  // namespace nexus::cuda
