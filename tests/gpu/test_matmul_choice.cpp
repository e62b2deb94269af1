// Products of cuBLASLt at the sizes of real models, against the CPU back end; the choice of algorithms and its file;
// and the kernel that stands in where the library refuses.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "core/files.h"
#include "cuda/devices.h"
#include "cuda/matmul.h"
#include "cuda/queue.h"
#include "support/temp_folder.h"

namespace nexus::cuda {
namespace {

// c [m, n] = a [m, k] b [k, n] + beta c. Batches lie one after the other, or side by side in wide rows.
struct Product {
  const char* name;
  int64_t m, n, k;
  bool transpose_a = false, transpose_b = false;
  DType type = DType::kBF16, result = DType::kBF16;
  float beta = 0;
  int64_t batch = 1;
  bool beside_a = false, beside_b = false, beside_c = false;
  bool shared_a = false;  // one a for the whole batch
  int64_t offset = 0;     // elements before the first one: what alignment is left
};

// Uniform with variance 1, a function of (salt, index).
float value_at(uint64_t salt, int64_t index) {
  uint64_t bits = (salt << 40) + static_cast<uint64_t>(index) + 0x9E3779B97F4A7C15u;
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
  const float unit = static_cast<float>((bits ^ (bits >> 31)) >> 40) * 0x1p-24f;
  return std::sqrt(12.0f) * (unit - 0.5f);
}

// A matrix in host memory, and the same in device memory.
class Matrix {
 public:
  Matrix(DType dtype, int64_t rows, int64_t cols, bool transposed, const Product& product, bool beside, bool shared,
         uint64_t salt)
      : count_(product.offset + rows * cols * (shared ? 1 : product.batch)),
        host_(static_cast<size_t>(count_ * size_of(dtype))) {
    mat_.dtype = dtype;
    mat_.rows = transposed ? cols : rows;
    mat_.cols = transposed ? rows : cols;
    mat_.transposed = transposed;
    mat_.batch = product.batch;
    mat_.ld = beside ? mat_.cols * product.batch : mat_.cols;
    mat_.batch_stride = shared || product.batch == 1 ? 0 : beside ? mat_.cols : rows * cols;
    offset_bytes_ = product.offset * size_of(dtype);
    for (int64_t i = 0; i < count_; ++i) put(i, value_at(salt, i));
    NX_CUDA(cudaMalloc(&device_, host_.size()));
    NX_CUDA(cudaMemcpy(device_, host_.data(), host_.size(), cudaMemcpyHostToDevice));
  }
  ~Matrix() { cudaFree(device_); }
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;

  Mat on_host() { return at(host_.data()); }
  Mat on_device() { return at(static_cast<char*>(device_)); }
  float host_value(int64_t index) const {
    if (mat_.dtype == DType::kF32) return read<float>(index);
    return static_cast<float>(read<Bf16>(index));
  }
  // Waits for the queue, and replaces the host's values.
  const std::vector<char>& download(Queue& queue) {
    queue.wait();
    NX_CUDA(cudaMemcpy(host_.data(), device_, host_.size(), cudaMemcpyDeviceToHost));
    return host_;
  }

 private:
  Mat at(char* memory) const {
    Mat mat = mat_;
    mat.data = memory + offset_bytes_;
    return mat;
  }
  template <typename T>
  T read(int64_t index) const {
    T value;
    std::memcpy(&value, host_.data() + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
    return value;
  }
  void put(int64_t index, float value) {
    const Bf16 rounded(value);
    char* target = host_.data() + index * size_of(mat_.dtype);
    if (mat_.dtype == DType::kF32) std::memcpy(target, &value, sizeof(value));
    if (mat_.dtype == DType::kBF16) std::memcpy(target, &rounded, sizeof(rounded));
  }

  int64_t count_, offset_bytes_ = 0;
  std::vector<char> host_;
  Mat mat_;
  void* device_ = nullptr;
};

constexpr uint64_t kSaltOfC = 3;

struct Operands {
  explicit Operands(const Product& p)
      : a(p.type, p.m, p.k, p.transpose_a, p, p.beside_a, p.shared_a, 1),
        b(p.type, p.k, p.n, p.transpose_b, p, p.beside_b, false, 2),
        c(p.result, p.m, p.n, false, p, p.beside_c, false, kSaltOfC) {}
  Matrix a, b, c;
};

// `count` rows of a product's left operand or of its result, from row `begin` on.
Mat rows_of(Mat mat, int64_t begin, int64_t count) {
  const int64_t skipped = mat.transposed ? begin : begin * mat.ld;
  mat.data = static_cast<char*>(mat.data) + skipped * size_of(mat.dtype);
  (mat.transposed ? mat.cols : mat.rows) = count;
  return mat;
}

// How far two sums of k products of variance 1 may lie apart, if both keep f32. Running sums stay within six of their
// deviations, sqrt(k). A tensor core adds 16 products at a time and drops what lies below 2^-23 of the largest term,
// then of the sum: twice 2^-23 of it in each of k / 16 steps, always towards zero. Rounding to nearest after every
// product errs less, for its errors have both signs. One wrong element changes a result by about 1; TF32 in the place
// of f32 by 3e-4 sqrt(k) on average and four times that somewhere among the elements compared, which is beyond the
// bound, too.
double sum_bound(int64_t k) {
  return 0x1p-22 * (static_cast<double>(k) / 16 + 1) * 6 * std::sqrt(static_cast<double>(k));
}

// A bf16 result is rounded by half a step, at most 2^-8 of it; an f32 one by 2^-24.
double relative_bound(DType type) {
  return type == DType::kBF16 ? 0x1p-8 : 0x1p-23;
}

class MatmulChoice : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda_devices().empty()) GTEST_SKIP() << "no CUDA device";
    queue_ = std::make_unique<Queue>(0);
  }

  std::unique_ptr<Matmul> make(const std::string& folder = "", bool deterministic = false) {
    return std::make_unique<Matmul>(*queue_, MatmulOptions{deterministic, folder});
  }

  // The bytes of c.
  std::vector<char> bytes_of(Matmul& matmul, const Product& product) {
    Operands on(product);
    matmul.run(on.a.on_device(), on.b.on_device(), on.c.on_device(), product.beta);
    return on.c.download(*queue_);
  }

  // Compares blocks of rows at the top, in the middle and at the bottom of c, all columns and batches, with the CPU's
  // unrounded results.
  void check(const Product& product, const std::function<void(const Mat&, const Mat&, const Mat&, float)>& multiply) {
    SCOPED_TRACE(product.name);
    NX_CHECK(product.beta == 0 || product.result == DType::kF32, "c begins with the values of an f32 matrix");
    Operands on(product);
    Matrix expected(DType::kF32, product.m, product.n, false, product, product.beside_c, false, kSaltOfC);
    for (const auto& [begin, rows] : blocks_of(product.m))
      cpu_->run(ops::MatMul{rows_of(on.a.on_host(), begin, rows), on.b.on_host(),
                            rows_of(expected.on_host(), begin, rows), product.beta});
    multiply(on.a.on_device(), on.b.on_device(), on.c.on_device(), product.beta);
    on.c.download(*queue_);
    for (const auto& [begin, rows] : blocks_of(product.m)) compare(product, on.c, expected, begin, rows);
  }

 private:
  using Block = std::array<int64_t, 2>;  // first row, rows
  static std::vector<Block> blocks_of(int64_t rows) {
    constexpr int64_t kRows = 16;
    if (rows < 4 * kRows) return {{0, rows}};
    return {{0, kRows}, {rows / 2, kRows}, {rows - kRows, kRows}};
  }

  static void compare(const Product& product, Matrix& actual, Matrix& expected, int64_t begin, int64_t rows) {
    const Mat c = actual.on_host();
    const double absolute = sum_bound(product.k), relative = relative_bound(product.result);
    for (int64_t at = 0; at < product.batch * rows * c.cols; ++at) {
      const int64_t batch = at / (rows * c.cols), row = begin + at / c.cols % rows, column = at % c.cols;
      const int64_t index = product.offset + batch * c.batch_stride + row * c.ld + column;
      const double value = expected.host_value(index);
      ASSERT_NEAR(actual.host_value(index), value, relative * std::abs(value) + absolute)
          << "batch " << batch << " row " << row << " column " << column;
    }
  }

 protected:
  std::unique_ptr<Queue> queue_;
  std::unique_ptr<Backend> cpu_ = make_cpu_backend();
};

constexpr int64_t kTokens = 8192;

// The three products of a layer [out, in], `batch` of which lie side by side in rows of activations.
Product forward(const char* name, int64_t out, int64_t in, int64_t batch = 1) {
  Product product{.name = name, .m = kTokens, .n = out, .k = in, .transpose_b = true, .batch = batch};
  product.beside_a = product.beside_c = true;
  return product;
}

Product input_gradient(const char* name, int64_t out, int64_t in, int64_t batch = 1) {
  Product product{.name = name, .m = kTokens, .n = in, .k = out, .batch = batch};
  product.beside_a = product.beside_c = true;
  return product;
}

Product weight_gradient(const char* name, int64_t out, int64_t in, int64_t batch = 1) {
  Product product{.name = name, .m = out, .n = in, .k = kTokens, .transpose_a = true, .beta = 1, .batch = batch};
  product.result = DType::kF32;
  product.beside_a = product.beside_b = true;
  return product;
}

Product in_f32(Product product) {
  product.type = product.result = DType::kF32;
  return product;
}

// D 768, M 1024, A 1280, V 32000, and what models have less often.
std::vector<Product> model_products() {
  Product evaluation = forward("head evaluation", 32000, 768);
  evaluation.result = DType::kF32;
  Product unaligned = forward("unaligned", 1024, 768);
  unaligned.offset = 1;
  Product shared = forward("one left operand for all", 512, 768, 3);
  shared.beside_a = false;
  shared.shared_a = true;
  return {forward("W_M", 1024, 768),
          forward("W_M of q, k and v", 3072, 768),
          input_gradient("W_M of q, k and v, input gradient", 3072, 768),
          weight_gradient("W_M of q, k and v, weight gradient", 3072, 768),
          forward("W_A", 1280, 1024, 3),
          input_gradient("W_A, input gradient", 1280, 1024, 3),
          weight_gradient("W_A, weight gradient", 1280, 1024, 3),
          forward("W_D", 768, 1280, 3),
          weight_gradient("W_D, weight gradient", 768, 1280, 3),
          forward("head", 32000, 768),
          input_gradient("head, input gradient", 32000, 768),
          weight_gradient("head, weight gradient", 32000, 768),
          evaluation,
          in_f32(forward("W_M in f32", 1024, 768)),
          in_f32(weight_gradient("W_M in f32, weight gradient", 1024, 768)),
          forward("odd extents", 771, 333),
          weight_gradient("odd extents, weight gradient", 771, 333),
          unaligned,
          shared};
}

TEST_F(MatmulChoice, AgreesWithTheCpuAtTheSizesOfModels) {
  const auto matmul = make();
  for (const Product& product : model_products())
    check(product, [&](const Mat& a, const Mat& b, const Mat& c, float beta) { matmul->run(a, b, c, beta); });
  EXPECT_GT(matmul->timed_choices(), 0);
}

TEST_F(MatmulChoice, AgreesWithTheCpuWithoutTiming) {
  const auto matmul = make("", true);
  for (const Product& product : model_products())
    check(product, [&](const Mat& a, const Mat& b, const Mat& c, float beta) { matmul->run(a, b, c, beta); });
  EXPECT_EQ(matmul->timed_choices(), 0);
}

TEST_F(MatmulChoice, TheFallbackTakesEveryLayout) {
  for (const int64_t extra : {0, 1}) {
    for (int bits = 0; bits < 64; ++bits) {
      const bool wide = (bits & 4) != 0, f32 = (bits & 8) != 0;
      const Product product{.name = "fallback",
                            .m = 32 + 5 * extra,
                            .n = 64 - 27 * extra,
                            .k = 64 + extra,
                            .transpose_a = (bits & 1) != 0,
                            .transpose_b = (bits & 2) != 0,
                            .type = f32 ? DType::kF32 : DType::kBF16,
                            .result = f32 || wide ? DType::kF32 : DType::kBF16,
                            .beta = (bits & 16) != 0 && (f32 || wide) ? 1.0f : 0.0f,
                            .batch = 3,
                            .beside_a = (bits & 32) != 0,
                            .beside_c = (bits & 32) == 0,
                            .offset = extra};
      check(product,
            [&](const Mat& a, const Mat& b, const Mat& c, float beta) { matmul_fallback(a, b, c, beta, *queue_); });
    }
  }
}

// Large enough to be timed.
const Product kTimed{
    .name = "timed", .m = 768, .n = 1024, .k = 512, .transpose_a = true, .result = DType::kF32, .beta = 1};
const Product kTiny{.name = "tiny", .m = 37, .n = 19, .k = 53};

TEST_F(MatmulChoice, IsMadeOnceAndRemembered) {
  const TempFolder folder;
  const auto first = make(folder / "cache");
  const std::vector<char> bytes = bytes_of(*first, kTimed);
  EXPECT_EQ(first->timed_choices(), 1);
  EXPECT_EQ(bytes_of(*first, kTimed), bytes);
  bytes_of(*first, kTiny);
  EXPECT_EQ(first->timed_choices(), 1);
  const std::string remembered = read_text_file(first->choices_path());
  EXPECT_EQ(std::count(remembered.begin(), remembered.end(), '\n'), 1);

  const auto second = make(folder / "cache");
  EXPECT_EQ(bytes_of(*second, kTimed), bytes);
  EXPECT_EQ(second->timed_choices(), 0);
  EXPECT_EQ(read_text_file(first->choices_path()), remembered);
}

TEST_F(MatmulChoice, BrokenLinesAreTimedAgain) {
  const TempFolder folder;
  const std::string path = make(folder.path())->choices_path();
  const std::vector<char> bytes = bytes_of(*make(folder.path()), kTimed);
  const std::string line = read_text_file(path);
  std::string changed = line;
  char& digit = changed[changed.find(" algo ") + 10];
  digit = digit == '0' ? '1' : '0';

  // Whatever surrounds a whole line, it counts; the torn last line does not swallow the next one that is written.
  replace_file(path, "nonsense\n\n" + changed + line + std::string("\0\xff algo sum\n", 12) + line.substr(0, 60));
  const auto among = make(folder.path());
  EXPECT_EQ(bytes_of(*among, kTimed), bytes);
  EXPECT_EQ(among->timed_choices(), 0);

  replace_file(path, changed + line.substr(0, 60));
  const auto again = make(folder.path());
  bytes_of(*again, kTimed);
  EXPECT_EQ(again->timed_choices(), 1);
  const auto last = make(folder.path());
  bytes_of(*last, kTimed);
  EXPECT_EQ(last->timed_choices(), 0);
}

TEST_F(MatmulChoice, AnUnusableFolderIsNoError) {
  const TempFolder folder;
  std::ofstream(folder / "file") << "in the way";
  for (int i = 0; i < 2; ++i) {
    const auto matmul = make(folder / "file");
    bytes_of(*matmul, kTimed);
    EXPECT_EQ(matmul->timed_choices(), 1);
  }
}

TEST_F(MatmulChoice, DeterministicChoicesRepeatBitsAndTouchNoFile) {
  const TempFolder folder;
  std::vector<char> bytes;
  for (int i = 0; i < 2; ++i) {
    const auto matmul = make(folder.path(), true);
    EXPECT_EQ(matmul->choices_path(), "");
    const std::vector<char> these = bytes_of(*matmul, kTimed);
    if (i == 0) bytes = these;
    EXPECT_EQ(these, bytes);
    EXPECT_EQ(matmul->timed_choices(), 0);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST_F(MatmulChoice, NamesItsLibrary) {
  EXPECT_EQ(make()->description().rfind("cuBLASLt ", 0), 0u);
}

}  // namespace
}  // namespace nexus::cuda
