// The two ways in which a GPU attends, cuDNN and our own kernels, against each other and against the CPU.
#include <cmath>
#include <memory>
#include <optional>
#include <ostream>
#include <utility>

#include "cuda/cuda_backend.h"
#include "cuda/device.h"
#include "cuda/devices.h"
#include "cuda/queue_of.h"
#include "support/test_tensor.h"

namespace nexus::test {
namespace {

Backend& gpu() {
  static const std::unique_ptr<Backend> backend = make_cuda_backend({});
  return *backend;
}

Backend& cpu() {
  static const std::unique_ptr<Backend> backend = make_cpu_backend();
  return *backend;
}

// q, k and v side by side, and eight unused elements at the end of a token.
struct Problem {
  Problem(int64_t batch, int64_t context, int64_t heads, int64_t kv_heads, int64_t head_dim,
          AttentionMask mask = AttentionMask::kCausal, std::vector<int32_t> of_samples = {})
      : op{batch, context, heads, kv_heads, head_dim, (heads + 2 * kv_heads) * head_dim + kGap, mask},
        lengths(std::move(of_samples)),
        qkv(rounded_values(batch * context * op.ld)),
        dout(rounded_values(batch * context * heads * head_dim)) {}

  // As bf16 stores them, so that every type computes the same thing.
  static Values rounded_values(int64_t count) {
    Values values = random_values(count);
    for (double& value : values) value = rounded(DType::kBF16, value);
    return values;
  }

  static constexpr int64_t kGap = 8;
  Attention op;
  std::vector<int32_t> lengths;  // none: every sample is whole
  Values qkv, dout;
};

struct Result {
  Values out, logsumexp, dqkv;
  std::vector<std::vector<char>> bits;
};

// run(operation) with both passes on tensors of `backend`.
template <typename Run>
Result attend(Backend& backend, DType dtype, const Problem& problem, const Run& run) {
  const Attention& op = problem.op;
  const int64_t tokens = op.batch * op.context, k_at = op.heads * op.head_dim, v_at = k_at + op.kv_heads * op.head_dim;
  const Shape packed_shape = {tokens, op.ld}, out_shape = {tokens, k_at}, lse_shape = {op.batch, op.heads, op.context};
  const TestTensor packed(backend, dtype, packed_shape, problem.qkv), dout(backend, dtype, out_shape, problem.dout);
  const TestTensor out(backend, dtype, out_shape), lse(backend, DType::kF32, lse_shape);
  const TestTensor scratch(backend, DType::kF32, lse_shape), gradients(backend, dtype, packed_shape);
  const auto part = [](const Tensor& whole, int64_t at) {
    Tensor view = whole;
    view.data = static_cast<char*>(whole.data) + at * size_of(whole.dtype);
    return view;
  };
  const Tensor k = part(packed, k_at), v = part(packed, v_at);
  std::optional<TestTensor> lengths;
  if (!problem.lengths.empty()) lengths.emplace(backend, problem.lengths);
  const Tensor of_samples = lengths ? lengths->tensor() : Tensor{};
  run(ops::AttentionForward{op, packed, k, v, out, lse, of_samples});
  run(ops::AttentionBackward{op, dout, packed, k, v, out, lse, scratch, gradients, part(gradients, k_at),
                             part(gradients, v_at), of_samples});

  Result result{out.values(), lse.values(), gradients.values(), {out.raw(), lse.raw(), gradients.raw()}};
  int64_t written = 0;  // in the gaps, which are nobody's
  for (int64_t i = 0; i < tokens * op.ld; ++i) {
    if (i % op.ld < op.ld - Problem::kGap) continue;
    double& value = result.dqkv[static_cast<size_t>(i)];
    written += std::isnan(value) ? 0 : 1;
    value = 0;
  }
  EXPECT_EQ(written, 0);
  for (int64_t row = 0; lengths && row < lse_shape.count(); ++row)  // of tokens beyond a length it means nothing
    if (row % op.context >= problem.lengths[static_cast<size_t>(row / op.context / op.heads)])
      result.logsumexp[static_cast<size_t>(row)] = 0;
  return result;
}

Result on_cpu(const Problem& problem) {
  return attend(cpu(), DType::kF32, problem, [](const auto& op) { cpu().run(op); });
}

Result by_own_kernels(const Problem& problem, DType dtype) {
  cuda::Queue& queue = cuda::queue_of(gpu());
  return attend(gpu(), dtype, problem, [&](const auto& op) { cuda::own_attention(op, queue); });
}

Result by_cudnn(const Problem& problem, cuda::CudnnAttention& cudnn) {
  return attend(gpu(), DType::kBF16, problem, [&](const auto& op) { cudnn.run(op); });
}

// `out` and `gradient` are absolute errors beyond those of f32 sums.
void expect_same(const Result& actual, const Result& expected, const Attention& op, double relative, double out,
                 double gradient) {
  // Sums of head_dim and of context products of magnitude one on both sides: a random walk, eight deviations.
  const double sum_error = 8 * 6e-8 * std::sqrt(static_cast<double>(op.head_dim + op.context));
  expect_close(actual.out, expected.out, relative, 8 * sum_error + out, "out");
  expect_close(actual.logsumexp, expected.logsumexp, 4e-6, 8 * sum_error, "logsumexp");
  expect_close(actual.dqkv, expected.dqkv, relative, 40 * sum_error + gradient, "dqkv");
}

// One stored bf16 number: half a step is 2^-9; 2^-8 for numbers near a border.
constexpr double kBf16 = 4e-3;
// cuDNN multiplies values by probabilities of bf16: half a step of an average of values below 5 in magnitude.
constexpr double kProbabilities = 1e-2;
// delta = rowsum(dout out) of an out in bf16: dS is off by P |dout| |out| 2^-9, and the first keys add that up over the
// queries. Every query head of a key head has its own.
double gradient_error(const Attention& op) {
  return 3e-2 * std::sqrt(static_cast<double>(op.heads / op.kv_heads));
}

bool supports_both(cuda::CudnnAttention& cudnn, const Attention& op, bool with_lengths = false) {
  return cudnn.supports_forward(op, DType::kBF16, with_lengths) &&
         cudnn.supports_backward(op, DType::kBF16, with_lengths);
}

struct Heads {
  int64_t heads, kv_heads, head_dim;
};
void PrintTo(const Heads& size, std::ostream* out) {
  *out << size.heads << " over " << size.kv_heads << " of " << size.head_dim;
}

class AttentionPaths : public testing::TestWithParam<Heads> {
 protected:
  void SetUp() override {
    if (cuda_devices().empty()) GTEST_SKIP() << "there is no CUDA device here";
  }
  // Whether cuDNN is there at all, which the plainest of shapes shows.
  static bool has(cuda::CudnnAttention& cudnn) { return supports_both(cudnn, {1, 128, 1, 1, 64, 192}); }
  static Problem problem(int64_t batch, int64_t context) {
    return {batch, context, GetParam().heads, GetParam().kv_heads, GetParam().head_dim};
  }
};

TEST_P(AttentionPaths, AgreeWithTheCpu) {
  cuda::CudnnAttention cudnn(cuda::queue_of(gpu()), false), deterministic(cuda::queue_of(gpu()), true);
  const bool with_cudnn = has(cudnn);
  for (const int64_t context : {1, 17, 128, 1000, 4096}) {
    SCOPED_TRACE(testing::Message() << "context " << context);
    const Problem size = problem(2, context);
    const Result expected = on_cpu(size);
    const double gradient = gradient_error(size.op);
    {
      SCOPED_TRACE("own kernels");
      expect_same(by_own_kernels(size, DType::kF32), expected, size.op, 4e-6, 0, 0);
      expect_same(by_own_kernels(size, DType::kBF16), expected, size.op, kBf16, 0, gradient);
    }
    if (!with_cudnn || context == 1) continue;  // one token needs no attention: cuDNN has none for it
    SCOPED_TRACE("cuDNN");
    ASSERT_TRUE(supports_both(cudnn, size.op)) << cudnn.description();
    ASSERT_TRUE(supports_both(deterministic, size.op)) << deterministic.description();
    expect_same(by_cudnn(size, cudnn), expected, size.op, kBf16, kProbabilities, gradient);
    expect_same(by_cudnn(size, deterministic), expected, size.op, kBf16, kProbabilities, gradient);
  }
  if (!with_cudnn) GTEST_SKIP() << "own kernels agree; cuDNN: " << cudnn.description();
}

TEST_P(AttentionPaths, AgreeWhereAllSeeAll) {
  cuda::CudnnAttention cudnn(cuda::queue_of(gpu()), false);
  bool by_library = true;
  for (const std::vector<int32_t>& lengths : {std::vector<int32_t>{}, {1000, 129}, {0, 64}}) {
    SCOPED_TRACE(testing::Message() << lengths.size() << " lengths");
    const Problem whole = problem(2, 1000);
    const Problem size(2, 1000, whole.op.heads, whole.op.kv_heads, whole.op.head_dim, AttentionMask::kFull, lengths);
    const Result expected = on_cpu(size);
    const double gradient = gradient_error(size.op);
    expect_same(by_own_kernels(size, DType::kF32), expected, size.op, 4e-6, 0, 0);
    expect_same(by_own_kernels(size, DType::kBF16), expected, size.op, kBf16, 0, gradient);
    // By whichever of the two the back end takes; it clears the rows of padding after cuDNN.
    const auto choose = [](const auto& op) { gpu().run(op); };
    expect_same(attend(gpu(), DType::kBF16, size, choose), expected, size.op, kBf16, kProbabilities, gradient);
    by_library = by_library && supports_both(cudnn, size.op, !lengths.empty());
  }
  if (!by_library) GTEST_SKIP() << "own kernels agree; cuDNN: " << cudnn.description();
}

TEST_P(AttentionPaths, OwnKernelsRepeatThemselvesBitForBit) {
  for (const int64_t context : {1000, 4096}) {
    const Problem size = problem(2, context);
    for (const DType dtype : {DType::kF32, DType::kBF16})
      EXPECT_EQ(by_own_kernels(size, dtype).bits, by_own_kernels(size, dtype).bits) << name_of(dtype) << context;
  }
}

TEST_P(AttentionPaths, DeterministicCudnnRepeatsItselfBitForBit) {
  cuda::CudnnAttention cudnn(cuda::queue_of(gpu()), true);
  if (!has(cudnn)) GTEST_SKIP() << cudnn.description();
  for (const int64_t context : {1000, 4096}) {
    const Problem size = problem(2, context);
    ASSERT_TRUE(supports_both(cudnn, size.op)) << cudnn.description();
    const Result first = by_cudnn(size, cudnn);
    for (int call = 0; call < 3; ++call) EXPECT_EQ(by_cudnn(size, cudnn).bits, first.bits) << context;
  }
}

INSTANTIATE_TEST_SUITE_P(Heads, AttentionPaths, testing::Values(Heads{12, 12, 64}, Heads{6, 6, 128}, Heads{8, 2, 64}));

class AttentionOnGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda_devices().empty()) GTEST_SKIP() << "there is no CUDA device here";
  }
};

// Its workspace for eight sequences is above the budget: they go in parts, each with its own pointers.
TEST_F(AttentionOnGpu, DeterministicCudnnTakesManySequencesInParts) {
  cuda::CudnnAttention cudnn(cuda::queue_of(gpu()), true);
  const Problem size(8, 4096, 6, 6, 64);
  if (!supports_both(cudnn, size.op)) GTEST_SKIP() << cudnn.description();
  expect_same(by_cudnn(size, cudnn), by_own_kernels(size, DType::kBF16), size.op, 2 * kBf16, kProbabilities,
              2 * gradient_error(size.op));
}

TEST_F(AttentionOnGpu, OwnKernelsTakeEveryHeadAndAlignment) {
  for (const int64_t head_dim : {1, 4, 5, 24, 32, 33, 80, 100, 200, 256}) {
    SCOPED_TRACE(testing::Message() << "heads of " << head_dim);
    const Problem size(2, 133, 4, 2, head_dim);
    const Result expected = on_cpu(size);
    expect_same(by_own_kernels(size, DType::kF32), expected, size.op, 4e-6, 0, 0);
    expect_same(by_own_kernels(size, DType::kBF16), expected, size.op, kBf16, 0, gradient_error(size.op));
  }
}

TEST_F(AttentionOnGpu, CudnnRefusesWhatItCannotDo) {
  cuda::CudnnAttention cudnn(cuda::queue_of(gpu()), false);
  const auto expect_refused = [&](const Attention& op, DType dtype) {
    EXPECT_FALSE(cudnn.supports_forward(op, dtype));
    EXPECT_FALSE(cudnn.supports_backward(op, dtype));
  };
  expect_refused({1, 128, 1, 1, 64, 192}, DType::kF32);
  expect_refused({1, 128, 1, 1, 20, 64}, DType::kBF16);   // heads that are no whole vectors
  expect_refused({1, 128, 1, 1, 64, 195}, DType::kBF16);  // nor rows
  expect_refused({1, 1, 1, 1, 64, 192}, DType::kBF16);
  EXPECT_FALSE(cudnn.description().empty());
}

}  // namespace
}  // namespace nexus::test
