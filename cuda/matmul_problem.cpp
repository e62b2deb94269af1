#include "cuda/matmul_problem.h"

#include <algorithm>

namespace nexus::cuda {

namespace {

// TMA and 16-byte loads need no more than this.
constexpr uintptr_t kBestAlignment = 16;

OperandKey operand_key(const Mat& m) {
  const int64_t stride = m.batch > 1 ? m.batch_stride : 0;
  const uintptr_t addresses =
      reinterpret_cast<uintptr_t>(m.data) | static_cast<uintptr_t>(stride * size_of(m.dtype)) | kBestAlignment;
  const int32_t alignment = static_cast<int32_t>(addresses & (~addresses + 1));  // the lowest bit that is set
  return {m.ld, stride, alignment, m.dtype, m.transposed};
}

std::string operand_text(const OperandKey& key) {
  return fmt::format("{}{} ld {} stride {} align {}", name_of(key.dtype), key.transposed ? " transposed" : "", key.ld,
                     key.batch_stride, key.alignment);
}

cudaDataType cuda_type(DType dtype) {
  return dtype == DType::kBF16 ? CUDA_R_16BF : CUDA_R_32F;
}

// What a user can do about it.
const char* cure_of(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "check that the GPU is free and that its driver fits this CUDA version (nvidia-smi)";
    case CUBLAS_STATUS_ALLOC_FAILED: return kMemoryCure;
    case CUBLAS_STATUS_ARCH_MISMATCH: return "use a GPU of compute capability 8.0 or later";
    case CUBLAS_STATUS_NOT_SUPPORTED:
    case CUBLAS_STATUS_INVALID_VALUE: return "empty the folder of remembered kernel choices; if it stays, report it";
    default:
      return "look for an earlier error of the GPU (nvidia-smi, dmesg); the run resumes from its last checkpoint";
  }
}

template <typename T>
void set(cublasLtMatrixLayoutOpaque_t& layout, cublasLtMatrixLayoutAttribute_t attribute, T value) {
  check_cublas(cublasLtMatrixLayoutSetAttribute(&layout, attribute, &value, sizeof(value)), "describing a matrix");
}

template <typename T>
void set(cublasLtMatmulDescOpaque_t& product, cublasLtMatmulDescAttributes_t attribute, T value) {
  check_cublas(cublasLtMatmulDescSetAttribute(&product, attribute, &value, sizeof(value)), "describing a product");
}

template <typename T>
void set(cublasLtMatmulPreferenceOpaque_t& preference, cublasLtMatmulPreferenceAttributes_t attribute, T value) {
  check_cublas(cublasLtMatmulPreferenceSetAttribute(&preference, attribute, &value, sizeof(value)),
               "describing a preference");
}

// rows x cols as the matrix lies in memory, row by row: the library's columns are our rows.
void init(cublasLtMatrixLayoutOpaque_t& layout, const OperandKey& operand, int64_t rows, int64_t cols, int64_t batch) {
  check_cublas(cublasLtMatrixLayoutInit(&layout, cuda_type(operand.dtype), static_cast<uint64_t>(cols),
                                        static_cast<uint64_t>(rows), operand.ld),
               "describing a matrix");
  if (batch == 1) return;
  set(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<int32_t>(batch));
  set(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, operand.batch_stride);
}

int32_t operation_of(const OperandKey& operand) {
  return operand.transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
}

}  // namespace

MatmulKey::MatmulKey(const Mat& left, const Mat& right, const Mat& result, float beta)
    : m(result.rows),
      n(result.cols),
      k(left.logical_cols()),
      batch(result.batch),
      a(operand_key(left)),
      b(operand_key(right)),
      c(operand_key(result)),
      adds(beta != 0) {}

double MatmulKey::flop() const {
  return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) * static_cast<double>(batch);
}

std::string MatmulKey::text() const {
  return fmt::format("m {} n {} k {} batch {} beta {} | a {} | b {} | c {}", m, n, k, batch, adds ? 1 : 0,
                     operand_text(a), operand_text(b), operand_text(c));
}

size_t MatmulKeyHash::operator()(const MatmulKey& key) const {
  uint64_t hash = key.adds ? 1 : 0;
  // The multiplier of splitmix64's first step: odd, with well-spread bits.
  const auto mix = [&hash](int64_t value) {
    hash = (hash ^ static_cast<uint64_t>(value)) * 0xBF58476D1CE4E5B9u;
    hash ^= hash >> 29;
  };
  for (const int64_t value : {key.m, key.n, key.k, key.batch}) mix(value);
  for (const OperandKey* operand : {&key.a, &key.b, &key.c}) {
    mix(operand->ld);
    mix(operand->batch_stride);
    mix(operand->alignment * 16 + static_cast<int64_t>(operand->dtype) * 2 + (operand->transposed ? 1 : 0));
  }
  return hash;
}

void check_cublas(cublasStatus_t status, const char* operation, const MatmulKey* key) {
  if (status == CUBLAS_STATUS_SUCCESS) [[likely]]
    return;
  throw Error(status == CUBLAS_STATUS_ALLOC_FAILED ? ErrorKind::kConfig : ErrorKind::kDevice,
              fmt::format("{}: {} ({})", operation, cublasLtGetStatusString(status), cublasLtGetStatusName(status)),
              key != nullptr ? "matrix product " + key->text() : fmt::format("cuBLASLt {}", MatmulLibrary::version()),
              cure_of(status));
}

MatmulProblem::MatmulProblem(const MatmulKey& key) {
  NX_CHECK(key.batch <= INT32_MAX, "{} products at once", key.batch);
  // f32 operands are multiplied as f32: CUBLAS_COMPUTE_32F never rounds them to TF32, that would be another type.
  check_cublas(cublasLtMatmulDescInit(&product_, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describing a product", &key);
  set(product_, CUBLASLT_MATMUL_DESC_TRANSA, operation_of(key.b));
  set(product_, CUBLASLT_MATMUL_DESC_TRANSB, operation_of(key.a));
  init(a_, key.b, key.b.transposed ? key.n : key.k, key.b.transposed ? key.k : key.n, key.batch);
  init(b_, key.a, key.a.transposed ? key.k : key.m, key.a.transposed ? key.m : key.k, key.batch);
  init(c_, key.c, key.m, key.n, key.batch);
}

MatmulLibrary::MatmulLibrary(Queue& queue, int64_t workspace_bytes)
    : queue_(queue), workspace_bytes_(static_cast<uint64_t>(workspace_bytes)), workspace_(workspace_bytes) {
  check_cublas(cublasLtCreate(&handle_), "starting cuBLASLt");
}

MatmulLibrary::~MatmulLibrary() {
  cublasLtDestroy(handle_);
}

int64_t MatmulLibrary::version() {
  return static_cast<int64_t>(cublasLtGetVersion());
}

std::vector<MatmulAlgorithm> MatmulLibrary::suggestions(const MatmulKey& key, MatmulProblem& problem, int most) {
  cublasLtMatmulPreferenceOpaque_t preference{};
  check_cublas(cublasLtMatmulPreferenceInit(&preference), "describing a preference", &key);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes_);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, static_cast<uint32_t>(key.b.alignment));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, static_cast<uint32_t>(key.a.alignment));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, static_cast<uint32_t>(key.c.alignment));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, static_cast<uint32_t>(key.c.alignment));
  // Partial sums of a split k are kept in f32. In the type of a bf16 result they would lose bits that one sum keeps.
  if (key.c.dtype == DType::kBF16)
    set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
        static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));

  std::vector<cublasLtMatmulHeuristicResult_t> results(static_cast<size_t>(most));
  int count = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handle_, &problem.product_, &problem.a_, &problem.b_, &problem.c_, &problem.c_,
                                     &preference, most, results.data(), &count);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return {};
  check_cublas(status, "cublasLtMatmulAlgoGetHeuristic", &key);
  results.resize(static_cast<size_t>(count));
  std::vector<MatmulAlgorithm> algorithms;
  for (const cublasLtMatmulHeuristicResult_t& result : results)
    if (result.state == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= workspace_bytes_)
      algorithms.push_back(result.algo);
  return algorithms;
}

bool MatmulLibrary::accepts(MatmulProblem& problem, const MatmulAlgorithm& algorithm) {
  cublasLtMatmulHeuristicResult_t result{};
  const cublasStatus_t status = cublasLtMatmulAlgoCheck(handle_, &problem.product_, &problem.a_, &problem.b_,
                                                        &problem.c_, &problem.c_, &algorithm, &result);
  return status == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= workspace_bytes_;
}

cublasStatus_t MatmulLibrary::launch(MatmulProblem& problem, const MatmulAlgorithm& algorithm, const void* a,
                                     const void* b, void* c, float beta) {
  const float alpha = 1.0f;
  return cublasLtMatmul(handle_, &problem.product_, &alpha, b, &problem.a_, a, &problem.b_, &beta, c, &problem.c_, c,
                        &problem.c_, &algorithm, workspace_.data(), workspace_bytes_, queue_.stream());
}

}  // namespace nexus::cuda
