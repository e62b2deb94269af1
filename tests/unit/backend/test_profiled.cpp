#include "backend/profiled.h"

#include <gtest/gtest.h>

#include "backend/dry.h"

namespace nexus {
namespace {

Tensor null_tensor(DType dtype, Shape shape) {
  return {nullptr, dtype, shape};
}

// Null tensors on the dry back end: what is counted depends on shapes only.
class Profiled : public ::testing::Test {
 protected:
  double bytes(const char* family) { return profiled_.families().at(family).bytes; }
  double flops(const char* family) { return profiled_.families().at(family).flops; }
  int64_t calls(const char* family) { return profiled_.families().at(family).calls; }

  std::unique_ptr<DryBackend> dry_ = make_dry_backend();
  ProfiledBackend profiled_{*dry_};
};

TEST_F(Profiled, CountsTheHalvesOfSplitOperationsInTheirFamilies) {
  const Tensor h{nullptr, DType::kF32, {4, 6}}, stats{nullptr, DType::kF32, {4, 3}};
  const Tensor sums{nullptr, DType::kF32, {4, 1}}, losses{nullptr, DType::kF32, {4}};
  const Tensor ids{nullptr, DType::kI32, {4}}, one{nullptr, DType::kF64, {1}};
  NormGelu op;
  op.scales = {1.0f};
  profiled_.row_sum_squares(h, sums);
  profiled_.norm_gelu_forward_from(op, h, sums, h, sums);
  profiled_.norm_gelu_backward_sums(op, h, h, sums, sums);
  profiled_.norm_gelu_backward_from(op, h, h, sums, sums, h);
  profiled_.cross_entropy_stats(h, ids, 0, stats);
  profiled_.cross_entropy_from(h, ids, 0, stats.reshaped({1, 4, 3}), losses, 1.0f);
  profiled_.copy_matrix(h, h);
  profiled_.embedding_forward(ids, h, 6, h);
  profiled_.embedding_backward(ids, h, 6, h);
  profiled_.sum_squares(h, {{2, 4}}, one);
  EXPECT_EQ(calls("activation"), 4);
  EXPECT_EQ(calls("loss"), 2);
  EXPECT_EQ(calls("memory"), 1);
  EXPECT_EQ(calls("embedding"), 2);
  EXPECT_EQ(calls("optimizer"), 1);
  for (const char* operation : {"row_sum_squares", "norm_gelu_forward_from", "norm_gelu_backward_sums",
                                "norm_gelu_backward_from", "cross_entropy_stats", "cross_entropy_from", "copy_matrix",
                                "embedding_forward", "embedding_backward", "sum_squares"})
    EXPECT_EQ(dry_->calls(operation), 1) << operation;
  EXPECT_EQ(dry_->calls(), 10);
}

TEST_F(Profiled, TellsWeightGradientsFromOtherProducts) {
  const Tensor x = null_tensor(DType::kBF16, {8, 5}), w = null_tensor(DType::kBF16, {3, 5});
  const Tensor y = null_tensor(DType::kBF16, {8, 3}), dw = null_tensor(DType::kF32, {3, 5});
  profiled_.matmul(x, Mat(w).t(), y, 0);
  profiled_.matmul(Mat(y).t(), x, dw, 1);
  EXPECT_EQ(flops("matmul"), 2.0 * 8 * 5 * 3);
  EXPECT_EQ(flops("wgrad"), 2.0 * 8 * 5 * 3);
  EXPECT_EQ(bytes("matmul"), 2 * (8 * 5 + 3 * 5 + 8 * 3));
  EXPECT_EQ(bytes("wgrad"), 2 * (8 * 3 + 8 * 5) + 4 * 3 * 5 * 2);  // the f32 sum is read and written
}

TEST_F(Profiled, CountsAMatrixOfAWholeBatchOnce) {
  const Tensor x = null_tensor(DType::kF32, {4, 8, 5}), w = null_tensor(DType::kF32, {5, 3});
  const Tensor y = null_tensor(DType::kF32, {4, 8, 3});
  profiled_.matmul(Mat::view(x, 8, 5, 5).batched(4, 40), Mat(w).batched(4, 0), Mat::view(y, 8, 3, 3).batched(4, 24), 0);
  EXPECT_EQ(bytes("matmul"), 4 * (4 * 8 * 5 + 5 * 3 + 4 * 8 * 3));
}

TEST_F(Profiled, CountsWhatIsUpdatedInPlaceTwice) {
  const Tensor x = null_tensor(DType::kBF16, {8, 6}), stats = null_tensor(DType::kF32, {8, 2});
  const Tensor weight = null_tensor(DType::kBF16, {6}), dweight = null_tensor(DType::kF32, {6});
  profiled_.add_norm_forward({}, x, Tensor{}, weight, x, stats);
  EXPECT_EQ(bytes("norm"), 2 * (2 * 48 + 6) + 4 * 16);  // x is left as it is
  profiled_.reset();
  profiled_.add_norm_forward({}, x, x, weight, x, stats);
  EXPECT_EQ(bytes("norm"), 2 * (4 * 48 + 6) + 4 * 16);
  profiled_.reset();
  profiled_.norm_backward({}, x, x, weight, stats, x, dweight);
  EXPECT_EQ(bytes("norm"), 2 * (4 * 48 + 6) + 4 * 16 + 2 * 4 * 6);
}

TEST_F(Profiled, CountsTheElementsOfAttentionThatItsViewsDoNotShow) {
  // Two sequences of eight tokens; four heads of 16 share two of keys and values in packed rows of 128.
  const Attention op{2, 8, 4, 2, 16, 128};
  const Tensor view = null_tensor(DType::kBF16, {16, 128}), out = null_tensor(DType::kBF16, {16, 64});
  const Tensor wide = null_tensor(DType::kF32, {2, 4, 8});
  const double packed = 2.0 * 16 * (4 + 2 + 2) * 16, rows = 2.0 * 16 * 64, statistics = 4.0 * 64;
  profiled_.attention_forward(op, view, view, view, out, wide);
  profiled_.attention_backward(op, out, view, view, view, out, wide, wide, view, view, view);
  profiled_.rope({8, 4, 16, 8, 128, 10000.0f}, view, false);
  EXPECT_EQ(bytes("attention_forward"), packed + rows + statistics);
  EXPECT_EQ(bytes("attention_backward"), 2 * packed + 2 * rows + statistics);
  EXPECT_EQ(bytes("rope"), 2 * 2.0 * 16 * 4 * 8);  // half of each head rotates
  EXPECT_EQ(flops("attention_forward"), 2.0 * 2 * 4 * 8 * 8 * 16);
  EXPECT_EQ(flops("attention_backward"), 2 * flops("attention_forward"));
}

TEST_F(Profiled, CountsLogitsAndRowsOfTheEmbedding) {
  const Tensor logits = null_tensor(DType::kBF16, {4, 100}), ids = null_tensor(DType::kI32, {4});
  const Tensor losses = null_tensor(DType::kF32, {4}), out = null_tensor(DType::kBF16, {4, 6});
  profiled_.cross_entropy(logits, ids, losses, 0.0f);
  EXPECT_EQ(bytes("loss"), 2 * 400 + 4 * 4 + 4 * 4);
  profiled_.cross_entropy(logits, ids, losses, 1.0f);  // logits become their gradient
  EXPECT_EQ(bytes("loss"), 3 * 2 * 400 + 2 * (4 * 4 + 4 * 4));
  profiled_.embedding_forward(ids, null_tensor(DType::kBF16, {100, 6}), 0, out);
  EXPECT_EQ(bytes("embedding"), 2 * 2 * 24 + 16);  // four rows of a hundred
  profiled_.reset();
  profiled_.embedding_backward(ids, out, 0, null_tensor(DType::kF32, {100, 6}));
  EXPECT_EQ(bytes("embedding"), 2 * 24 + 16 + 2 * 4 * 24);
}

TEST_F(Profiled, CountsThirtyBytesPerParameterOfAnUpdateInBf16) {
  const Tensor wide = null_tensor(DType::kF32, {50}), compute = null_tensor(DType::kBF16, {50});
  const Tensor norm = null_tensor(DType::kF64, {1});
  UpdateBlock block;
  block.rows = 4;
  block.cols = 10;
  block.row_stride = 10;
  profiled_.adamw({}, {block}, norm, wide, wide, wide, wide, compute, Tensor());
  EXPECT_EQ(bytes("optimizer"), 30 * 40 + 8);
  profiled_.reset();
  profiled_.sum_squares(wide, {{0, 10}, {20, 5}}, norm);
  EXPECT_EQ(bytes("optimizer"), 4 * 15 + 8);
}

TEST_F(Profiled, AddsUpOverCallsAndForgetsOnReset) {
  const Tensor x = null_tensor(DType::kF32, {8});
  int64_t host[4] = {};
  for (int i = 0; i < 3; ++i) profiled_.zero(x);
  profiled_.copy_in(x, host);
  EXPECT_EQ(calls("memory"), 3);
  EXPECT_EQ(bytes("memory"), 3 * 32);
  EXPECT_EQ(bytes("transfer"), 32);
  EXPECT_GE(profiled_.families().at("memory").seconds, 0);
  profiled_.add(x, x);
  EXPECT_EQ(calls("memory"), 4);  // reading the families does not end the count
  profiled_.zero(x);
  profiled_.reset();
  EXPECT_TRUE(profiled_.families().empty());
}

}  // namespace
}  // namespace nexus
