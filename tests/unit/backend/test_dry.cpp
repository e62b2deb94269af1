#include <gtest/gtest.h>

#include "backend/profiler.h"
#include "support/test_tensor.h"
#include "tensor/arena.h"

namespace nexus {
namespace {

using test::null_tensor;

TEST(DryBackend, AllocatesNothingButKnowsSizes) {
  const std::unique_ptr<Backend> dry = make_dry_backend();
  const Buffer buffer = dry->allocate(int64_t{1} << 50);
  EXPECT_EQ(buffer.data(), nullptr);
  EXPECT_EQ(buffer.size_bytes(), int64_t{1} << 50);
  EXPECT_EQ(buffer.tensor(DType::kBF16, {3, 5}).size_bytes(), 30);
}

TEST(DryBackend, CountsTwoFlopsPerMultiplyAdd) {
  const std::unique_ptr<Backend> dry = make_dry_backend();
  Profiler counts(*dry);
  const Tensor a = null_tensor(DType::kF32, {3, 5}), b = null_tensor(DType::kF32, {7, 5}),
               c = null_tensor(DType::kF32, {3, 7});
  dry->run(ops::MatMul{a, Mat(b).t(), c, 0});
  EXPECT_EQ(counts.sum_of({"matmul", "wgrad"}).flops, 2 * 3 * 5 * 7);
  dry->run(ops::MatMul{Mat(a).batched(4, 15), Mat(b).t().batched(4, 35), Mat(c).batched(4, 21), 1});
  EXPECT_EQ(counts.sum_of({"matmul", "wgrad"}).flops, 5 * 2 * 3 * 5 * 7);
  EXPECT_EQ(counts.sum_of({"matmul", "wgrad"}).calls, 2);
  counts.reset();
  EXPECT_EQ(counts.sum_of({"matmul", "wgrad"}).flops, 0);
  EXPECT_TRUE(counts.families().empty());
}

TEST(DryBackend, CountsTheCausalHalfOfAttention) {
  const std::unique_ptr<Backend> dry = make_dry_backend();
  Profiler counts(*dry);
  const Attention op{2, 8, 4, 2, 16, 128};
  const Tensor qkv = null_tensor(DType::kBF16, {16, 128}), out = null_tensor(DType::kBF16, {16, 64});
  const Tensor stats = null_tensor(DType::kF32, {2, 4, 8});
  dry->run(ops::AttentionForward{op, qkv, qkv, qkv, out, stats});
  const double forward = 2.0 * 2 * 4 * 8 * 8 * 16;  // per token 2 T D with D = heads * head_dim
  EXPECT_EQ(counts.sum_of({"attention_forward", "attention_backward"}).flops, forward);
  dry->run(ops::AttentionBackward{op, out, qkv, qkv, qkv, out, stats, stats, qkv, qkv, qkv});
  EXPECT_EQ(counts.sum_of({"attention_forward", "attention_backward"}).flops, 3 * forward);
}

TEST(DryBackend, RefusesWhatADeviceWouldRefuse) {
  const std::unique_ptr<Backend> dry = make_dry_backend();
  const Tensor x = null_tensor(DType::kF32, {3, 5}), y = null_tensor(DType::kF32, {3, 6});
  const Tensor stats = null_tensor(DType::kF32, {3, 2}), ids = null_tensor(DType::kI32, {3});
  EXPECT_THROW(dry->run(ops::MatMul{x, x, x, 0}), Error);
  EXPECT_THROW(dry->run(ops::Add{x, y}), Error);
  EXPECT_THROW(dry->run(ops::AddNormForward{{}, x, Tensor(), Tensor(), y, stats}), Error);
  EXPECT_THROW(dry->run(ops::NormBackward{{}, x, x, Tensor(), stats, x, null_tensor(DType::kF32, {5})}), Error);
  EXPECT_THROW(dry->run(ops::GateForward{GateKind::kSwiGlu, GeluKind::kErf, x, x}), Error);
  EXPECT_THROW(dry->run(ops::NormGeluForward{{}, x, x, null_tensor(DType::kF32, {3, 1})}),
               Error);  // no scale for the group
  EXPECT_THROW(dry->run(ops::EmbeddingForward{x, x, 0, x}), Error);
  EXPECT_THROW(dry->run(ops::CrossEntropy{x, ids, null_tensor(DType::kF64, {3}), 0.0f}), Error);
  EXPECT_THROW(dry->run(ops::Rotate{{2, 1, 4, 4, 5, 10000.0f}, x, false}),
               Error);  // three tokens are no whole contexts of two
  EXPECT_THROW(dry->run(ops::AttentionForward{{1, 3, 3, 2, 1, 5}, x, x, x, x, x}), Error);  // 3 heads over 2 kv heads
  EXPECT_THROW(dry->run(ops::SumSquares{x, {}, stats}), Error);
}

TEST(DryBackend, RefusesWrongHalvesOfSplitOperations) {
  const std::unique_ptr<Backend> dry = make_dry_backend();
  const auto f32 = [](Shape shape) { return null_tensor(DType::kF32, shape); };
  const Tensor h = f32({3, 5}), sums = f32({3, 1}), wide = null_tensor(DType::kF64, {3, 1}), losses = f32({3});
  const Tensor ids = null_tensor(DType::kI32, {3}), stats = f32({2, 3, 3});
  NormGelu op;
  op.scales = {1.0f};
  EXPECT_NO_THROW(dry->run(ops::NormGeluForwardFrom{op, h, sums, h, sums}));
  EXPECT_THROW(dry->run(ops::RowSumSquares{h, f32({3})}), Error);
  EXPECT_THROW(dry->run(ops::RowSumSquares{h, wide}), Error);
  EXPECT_THROW(dry->run(ops::NormGeluForwardFrom{op, h, wide, h, sums}), Error);
  EXPECT_THROW(dry->run(ops::NormGeluForwardFrom{op, h, sums, h, f32({3, 2})}), Error);
  EXPECT_THROW(dry->run(ops::NormGeluBackwardSums{op, f32({3, 4}), h, sums, sums}), Error);
  EXPECT_THROW(dry->run(ops::NormGeluBackwardFrom{op, h, h, sums, f32({5, 1}), h}), Error);
  EXPECT_THROW(dry->run(ops::NormGeluBackwardFrom{op, h, h, sums, sums, f32({5, 3})}), Error);
  op.norm = NormKind::kNone;
  EXPECT_THROW(dry->run(ops::NormGeluForwardFrom{op, h, sums, h, sums}), Error);
  EXPECT_NO_THROW(dry->run(ops::CrossEntropyFrom{h, ids, 10, stats, losses, 1.0f}));
  EXPECT_THROW(dry->run(ops::CrossEntropyFrom{h, ids, -1, stats, losses, 1.0f}), Error);
  EXPECT_THROW(dry->run(ops::CrossEntropyFrom{h, ids, 10, f32({3, 3}), losses, 1.0f}), Error);
  EXPECT_THROW(dry->run(ops::CrossEntropyFrom{h, ids, 10, f32({2, 4, 3}), losses, 1.0f}), Error);
  EXPECT_THROW(dry->run(ops::CrossEntropyStats{h, ids, 10, f32({3, 2})}), Error);
  EXPECT_THROW(dry->run(ops::EmbeddingForward{ids, f32({7, 5}), -1, h}), Error);
  EXPECT_THROW(dry->run(ops::SumSquares{h, {{0, 15}, {14, 2}}, null_tensor(DType::kF64, {1})}), Error);
}

TEST(DryBackend, WorksOnACountingArena) {
  const std::unique_ptr<Backend> dry = make_dry_backend();
  Profiler counts(*dry);
  Arena arena;
  const Arena::Frame frame(arena);
  const Tensor h = arena.alloc(DType::kBF16, {4, 3, 100}), a = arena.alloc(DType::kBF16, {4, 3, 100});
  const Tensor scale = arena.alloc(DType::kF32, {4, 3});
  NormGelu op;
  op.scales = {1, 2, 3};
  dry->run(ops::NormGeluForward{op, h, a, scale});
  dry->run(ops::NormGeluBackward{op, a, h, scale, a});
  EXPECT_EQ(counts.sum_of({"activation"}).calls, 2);
  EXPECT_EQ(arena.peak_bytes(), 2560 + 2560 + 256);
}

}  // namespace
}  // namespace nexus
