#include "backend/profiler.h"

#include <gtest/gtest.h>

#include "support/test_tensor.h"

namespace nexus {
namespace {

using test::null_tensor;

// Null tensors on the dry back end: what is counted depends on shapes only.
class ProfilerTest : public ::testing::Test {
 protected:
  double bytes(const char* family) { return profiler_.families().at(family).bytes; }
  double flops(const char* family) { return profiler_.families().at(family).flops; }
  int64_t calls(const char* family) { return profiler_.families().at(family).calls; }

  std::unique_ptr<Backend> dry_ = make_dry_backend();
  Profiler profiler_{*dry_};
};

TEST_F(ProfilerTest, CountsTheHalvesOfSplitOperationsInTheirFamilies) {
  const Tensor h{nullptr, DType::kF32, {4, 6}}, stats{nullptr, DType::kF32, {4, 3}};
  const Tensor sums{nullptr, DType::kF32, {4, 1}}, losses{nullptr, DType::kF32, {4}};
  const Tensor ids{nullptr, DType::kI32, {4}}, one{nullptr, DType::kF64, {1}};
  NormGelu op;
  op.scales = {1.0f};
  dry_->run(ops::RowSumSquares{h, sums});
  dry_->run(ops::NormGeluForwardFrom{op, h, sums, h, sums});
  dry_->run(ops::NormGeluBackwardSums{op, h, h, sums, sums});
  dry_->run(ops::NormGeluBackwardFrom{op, h, h, sums, sums, h});
  dry_->run(ops::CrossEntropyStats{h, ids, 0, stats});
  dry_->run(ops::CrossEntropyFrom{h, ids, 0, stats.reshaped({1, 4, 3}), losses, 1.0f});
  dry_->run(ops::CopyMatrix{h, h});
  dry_->run(ops::EmbeddingForward{ids, h, 6, h});
  dry_->run(ops::EmbeddingBackward{ids, h, 6, h});
  dry_->run(ops::SumSquares{h, {{2, 4}}, one});
  EXPECT_EQ(calls("activation"), 4);
  EXPECT_EQ(calls("loss"), 2);
  EXPECT_EQ(calls("memory"), 1);
  EXPECT_EQ(calls("embedding"), 2);
  EXPECT_EQ(calls("optimizer"), 1);
  int64_t all = 0;
  for (const auto& [name, family] : profiler_.families()) all += family.calls;
  EXPECT_EQ(all, 10);
}

TEST_F(ProfilerTest, TellsWeightGradientsFromOtherProducts) {
  const Tensor x = null_tensor(DType::kBF16, {8, 5}), w = null_tensor(DType::kBF16, {3, 5});
  const Tensor y = null_tensor(DType::kBF16, {8, 3}), dw = null_tensor(DType::kF32, {3, 5});
  dry_->run(ops::MatMul{x, Mat(w).t(), y, 0});
  dry_->run(ops::MatMul{Mat(y).t(), x, dw, 1});
  EXPECT_EQ(flops("matmul"), 2.0 * 8 * 5 * 3);
  EXPECT_EQ(flops("wgrad"), 2.0 * 8 * 5 * 3);
  EXPECT_EQ(bytes("matmul"), 2 * (8 * 5 + 3 * 5 + 8 * 3));
  EXPECT_EQ(bytes("wgrad"), 2 * (8 * 3 + 8 * 5) + 4 * 3 * 5 * 2);  // the f32 sum is read and written
}

TEST_F(ProfilerTest, CountsAMatrixOfAWholeBatchOnce) {
  const Tensor x = null_tensor(DType::kF32, {4, 8, 5}), w = null_tensor(DType::kF32, {5, 3});
  const Tensor y = null_tensor(DType::kF32, {4, 8, 3});
  dry_->run(
      ops::MatMul{Mat::view(x, 8, 5, 5).batched(4, 40), Mat(w).batched(4, 0), Mat::view(y, 8, 3, 3).batched(4, 24), 0});
  EXPECT_EQ(bytes("matmul"), 4 * (4 * 8 * 5 + 5 * 3 + 4 * 8 * 3));
}

TEST_F(ProfilerTest, CountsWhatIsUpdatedInPlaceTwice) {
  const Tensor x = null_tensor(DType::kBF16, {8, 6}), stats = null_tensor(DType::kF32, {8, 2});
  const Tensor weight = null_tensor(DType::kBF16, {6}), dweight = null_tensor(DType::kF32, {6});
  dry_->run(ops::AddNormForward{{}, x, Tensor{}, weight, x, stats});
  EXPECT_EQ(bytes("norm"), 2 * (2 * 48 + 6) + 4 * 16);  // x is left as it is
  profiler_.reset();
  dry_->run(ops::AddNormForward{{}, x, x, weight, x, stats});
  EXPECT_EQ(bytes("norm"), 2 * (4 * 48 + 6) + 4 * 16);
  profiler_.reset();
  dry_->run(ops::NormBackward{{}, x, x, weight, stats, x, dweight});
  EXPECT_EQ(bytes("norm"), 2 * (4 * 48 + 6) + 4 * 16 + 2 * 4 * 6);
}

TEST_F(ProfilerTest, CountsTheElementsOfAttentionThatItsViewsDoNotShow) {
  // Two sequences of eight tokens; four heads of 16 share two of keys and values in packed rows of 128.
  const Attention op{2, 8, 4, 2, 16, 128};
  const Tensor view = null_tensor(DType::kBF16, {16, 128}), out = null_tensor(DType::kBF16, {16, 64});
  const Tensor wide = null_tensor(DType::kF32, {2, 4, 8});
  const double packed = 2.0 * 16 * (4 + 2 + 2) * 16, rows = 2.0 * 16 * 64, statistics = 4.0 * 64;
  dry_->run(ops::AttentionForward{op, view, view, view, out, wide});
  dry_->run(ops::AttentionBackward{op, out, view, view, view, out, wide, wide, view, view, view});
  dry_->run(ops::Rotate{{8, 4, 16, 8, 128, 10000.0f}, view, false});
  EXPECT_EQ(bytes("attention_forward"), packed + rows + statistics);
  EXPECT_EQ(bytes("attention_backward"), 2 * packed + 2 * rows + statistics);
  EXPECT_EQ(bytes("rope"), 2 * 2.0 * 16 * 4 * 8);  // half of each head rotates
  EXPECT_EQ(flops("attention_forward"), 2.0 * 2 * 4 * 8 * 8 * 16);
  EXPECT_EQ(flops("attention_backward"), 2 * flops("attention_forward"));
  profiler_.reset();
  Attention full = op;
  full.mask = AttentionMask::kFull;
  const Tensor lengths = null_tensor(DType::kI32, {2});  // what they hold is not looked at
  dry_->run(ops::AttentionForward{full, view, view, view, out, wide, lengths});
  dry_->run(ops::AttentionBackward{full, out, view, view, view, out, wide, wide, view, view, view, lengths});
  EXPECT_EQ(flops("attention_forward"), 2 * 2.0 * 2 * 4 * 8 * 8 * 16);
  EXPECT_EQ(flops("attention_backward"), 2 * flops("attention_forward"));
}

TEST_F(ProfilerTest, CountsLogitsAndRowsOfTheEmbedding) {
  const Tensor logits = null_tensor(DType::kBF16, {4, 100}), ids = null_tensor(DType::kI32, {4});
  const Tensor losses = null_tensor(DType::kF32, {4}), out = null_tensor(DType::kBF16, {4, 6});
  dry_->run(ops::CrossEntropy{logits, ids, losses, 0.0f});
  EXPECT_EQ(bytes("loss"), 2 * 400 + 4 * 4 + 4 * 4);
  dry_->run(ops::CrossEntropy{logits, ids, losses, 1.0f});  // logits become their gradient
  EXPECT_EQ(bytes("loss"), 3 * 2 * 400 + 2 * (4 * 4 + 4 * 4));
  dry_->run(ops::EmbeddingForward{ids, null_tensor(DType::kBF16, {100, 6}), 0, out});
  EXPECT_EQ(bytes("embedding"), 2 * 2 * 24 + 16);  // four rows of a hundred
  profiler_.reset();
  dry_->run(ops::EmbeddingBackward{ids, out, 0, null_tensor(DType::kF32, {100, 6})});
  EXPECT_EQ(bytes("embedding"), 2 * 24 + 16 + 2 * 4 * 24);
}

TEST_F(ProfilerTest, CountsThirtyBytesPerParameterOfAnUpdateInBf16) {
  const Tensor wide = null_tensor(DType::kF32, {50}), compute = null_tensor(DType::kBF16, {50});
  const Tensor norm = null_tensor(DType::kF64, {1});
  UpdateBlock block;
  block.rows = 4;
  block.cols = 10;
  block.row_stride = 10;
  dry_->run(ops::AdamWUpdate{{}, {block}, norm, wide, wide, wide, wide, compute, Tensor()});
  EXPECT_EQ(bytes("optimizer"), 30 * 40 + 8);
  profiler_.reset();
  dry_->run(ops::SumSquares{wide, {{0, 10}, {20, 5}}, norm});
  EXPECT_EQ(bytes("optimizer"), 4 * 15 + 8);
}

TEST_F(ProfilerTest, AddsUpOverCallsAndForgetsOnReset) {
  const Tensor x = null_tensor(DType::kF32, {8});
  int64_t host[4] = {};
  for (int i = 0; i < 3; ++i) dry_->run(ops::Zero{x});
  dry_->copy_in(x, host);
  EXPECT_EQ(calls("memory"), 3);
  EXPECT_EQ(bytes("memory"), 3 * 32);
  EXPECT_EQ(bytes("transfer"), 32);
  EXPECT_GE(profiler_.families().at("memory").seconds, 0);
  dry_->run(ops::Add{x, x});
  EXPECT_EQ(calls("memory"), 4);  // reading the families does not end the count
  dry_->run(ops::Zero{x});
  profiler_.reset();
  EXPECT_TRUE(profiler_.families().empty());
}

}  // namespace
}  // namespace nexus
