#include "backend/profiled.h"

#include <gtest/gtest.h>

#include "backend/dry.h"

namespace nexus {
namespace {

TEST(ProfiledBackend, CountsTheHalvesOfSplitOperationsInTheirFamilies) {
  const std::unique_ptr<DryBackend> dry = make_dry_backend();
  ProfiledBackend profiled(*dry);
  const Tensor h{nullptr, DType::kF32, {4, 6}}, stats{nullptr, DType::kF32, {4, 3}};
  const Tensor sums{nullptr, DType::kF32, {4, 1}}, losses{nullptr, DType::kF32, {4}};
  const Tensor ids{nullptr, DType::kI32, {4}}, one{nullptr, DType::kF64, {1}};
  NormGelu op;
  op.scales = {1.0f};
  profiled.row_sum_squares(h, sums);
  profiled.norm_gelu_forward_from(op, h, sums, h, sums);
  profiled.norm_gelu_backward_sums(op, h, h, sums, sums);
  profiled.norm_gelu_backward_from(op, h, h, sums, sums, h);
  profiled.cross_entropy_stats(h, ids, 0, stats);
  profiled.cross_entropy_from(h, ids, 0, stats.reshaped({1, 4, 3}), losses, 1.0f);
  profiled.copy_matrix(h, h);
  profiled.embedding_forward(ids, h, 6, h);
  profiled.embedding_backward(ids, h, 6, h);
  profiled.sum_squares(h, {{2, 4}}, one);
  const auto calls = [&](const char* family) { return profiled.families().at(family).calls; };
  EXPECT_EQ(calls("activation"), 4);
  EXPECT_EQ(calls("loss"), 2);
  EXPECT_EQ(calls("memory"), 3);
  EXPECT_EQ(calls("optimizer"), 1);
  for (const char* operation : {"row_sum_squares", "norm_gelu_forward_from", "norm_gelu_backward_sums",
                                "norm_gelu_backward_from", "cross_entropy_stats", "cross_entropy_from", "copy_matrix",
                                "embedding_forward", "embedding_backward", "sum_squares"})
    EXPECT_EQ(dry->calls(operation), 1) << operation;
  EXPECT_EQ(dry->calls(), 10);
}

}  // namespace
}  // namespace nexus
