#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "optim/optimizer.h"

namespace nexus {
namespace {

// W_A of a Nexus-Rank layer: rows follow A, columns follow M.
ParamSpec w_a(int64_t a, int64_t m) {
  ParamSpec spec;
  spec.name = "w_a";
  spec.axes = {{a, "A", AxisRole::kProduces}, {m, "M", AxisRole::kConsumes}};
  return spec;
}

Generation generation(int64_t m, int64_t a, int64_t updates = 0) {
  return {{{"M", m}, {"A", a}}, updates, updates};
}

TEST(GenerationBlocks, CoverATensorThatGrewOnBothAxesExactlyOnce) {
  const std::vector<Generation> generations{generation(3, 4), generation(5, 4), generation(5, 7), generation(6, 9)};
  std::vector<int> owner(9 * 6, -1);
  for (const GenerationBlock& block : generation_blocks(w_a(9, 6), generations))
    for (int64_t r = block.box.begin_row; r < block.box.begin_row + block.box.rows; ++r)
      for (int64_t c = block.box.begin_column; c < block.box.begin_column + block.box.columns; ++c) {
        int& cell = owner[static_cast<size_t>(r * 6 + c)];
        EXPECT_EQ(cell, -1) << "row " << r << " column " << c << " twice";
        cell = block.generation;
      }
  for (int64_t r = 0; r < 9; ++r)
    for (int64_t c = 0; c < 6; ++c) {
      // The generation of an entry is that of its younger axis position.
      const int of_row = r < 4 ? 0 : r < 7 ? 2 : 3, of_column = c < 3 ? 0 : c < 5 ? 1 : 3;
      EXPECT_EQ(owner[static_cast<size_t>(r * 6 + c)], std::max(of_row, of_column)) << "row " << r << " column " << c;
    }
}

TEST(Optimizer, UpdatesAModelThatNeverGrewInRunsOfEqualDecay) {
  ParamTable table;
  table.add(w_a(4, 3));
  ParamSpec second = w_a(2, 3);
  second.name = "second";
  second.axes[0].width = second.axes[1].width = kFixedWidth;
  table.add(second);
  ParamSpec norm;
  norm.name = "norm";
  norm.axes = {{5}};
  norm.decay = false;
  table.add(norm);
  const Optimizer optimizer({}, 0.1, {generation(3, 4)});
  const auto blocks = optimizer.update_blocks(table, 1e-3, 5.0);
  ASSERT_EQ(blocks.size(), 2u);  // both matrices in one run, then the norm
  EXPECT_EQ(blocks[0].cols, 18);
  EXPECT_EQ(blocks[0].weight_decay, 0.1);
  EXPECT_EQ(blocks[0].learning_rate, 1e-3);  // generation 0 never takes the newest generation's rate
  EXPECT_EQ(blocks[1].offset, 18);
  EXPECT_EQ(blocks[1].weight_decay, 0.0);
}

TEST(Optimizer, ScalesTheRateOfTensorsByTheirRoleOldAndNewAlike) {
  ParamTable table;
  ParamSpec input = w_a(5, 2);
  input.name = "embed.weight";
  input.axes[0].width = input.axes[1].width = kFixedWidth;
  input.part = ModelPart::kInput;
  table.add(input);
  table.add(w_a(6, 5));  // its role is what its name ends with
  ParamSpec norm;
  norm.name = "norm.weight";
  norm.axes = {{5}};
  table.add(norm);
  const Optimizer optimizer({}, 0.1, {generation(3, 4), generation(5, 6)},
                            {{"input", 0.5}, {role_of(table[1]), 2.0}, {"weight", 100.0}});
  for (const UpdateBlock& block : optimizer.update_blocks(table, 1e-3, 3e-3)) {
    if (block.offset < 10)
      EXPECT_EQ(block.learning_rate, 0.5 * 1e-3);
    else if (block.offset < 40)
      EXPECT_TRUE(block.learning_rate == 2.0 * 1e-3 || block.learning_rate == 2.0 * 3e-3) << block.learning_rate;
    else
      EXPECT_EQ(block.learning_rate, 1e-3);  // a norm is none of the matrices called weight
  }
}

TEST(Optimizer, GivesTheNewestGenerationItsOwnRateAndBiasCorrection) {
  ParamTable table;
  table.add(w_a(6, 5));
  const Optimizer optimizer({}, 0.0, {generation(3, 4, 100), generation(5, 6, 2)});
  const auto blocks = optimizer.update_blocks(table, 1e-3, 2e-3);
  int64_t old_entries = 0, new_entries = 0;
  for (const UpdateBlock& block : blocks) {
    if (block.step1 == 101) {
      EXPECT_EQ(block.learning_rate, 1e-3);
      old_entries += block.rows * block.cols;
    } else {
      EXPECT_EQ(block.step1, 3);
      EXPECT_EQ(block.learning_rate, 2e-3);
      new_entries += block.rows * block.cols;
    }
  }
  EXPECT_EQ(old_entries, 12);
  EXPECT_EQ(new_entries, 18);
}

// One update from zero moments moves every entry by the learning rate in the direction of its gradient, whatever the
// gradient's size: the bias correction of a newborn entry must not see the age of the others.
TEST(Optimizer, MovesNewbornEntriesByOneLearningRateAtTheirFirstUpdate) {
  const auto backend = make_cpu_backend();
  ParamTable table;
  table.add(w_a(6, 5));
  ParamStore params(*backend, table, DType::kF64);
  backend->run(ops::Zero{params.master()});
  std::vector<double> grad(30, 0.0);
  for (size_t i = 0; i < grad.size(); ++i) grad[i] = (i % 2 == 0 ? 1.0 : -1.0) * 1e-3 * static_cast<double>(i + 1);
  backend->copy_in(params.grad(0), grad.data());
  double sum_squares = 1.0;
  const Tensor norm{&sum_squares, DType::kF64, {1}};
  AdamW op;
  op.eps = 0;
  Optimizer optimizer(op, 0.0, {generation(3, 4, 50), generation(5, 6, 0)});
  optimizer.step(params, norm, 0.5, 0.25);
  std::vector<double> moved(30);
  backend->copy_out(moved.data(), params.weight(0));  // f64: the master itself
  for (int64_t r = 0; r < 6; ++r)
    for (int64_t c = 0; c < 5; ++c) {
      const auto i = static_cast<size_t>(r * 5 + c);
      if (r < 4 && c < 3) continue;
      EXPECT_NEAR(std::abs(moved[i]), 0.25, 1e-12) << "row " << r << " column " << c;  // a few roundings of f64
      EXPECT_EQ(std::signbit(moved[i]), grad[i] > 0);
    }
  EXPECT_EQ(optimizer.generations()[0].updates1, 51);
  EXPECT_EQ(optimizer.generations()[1].updates2, 1);
}

// A rate of 0 freezes: neither gradient nor weight decay moves a bit of what was there, and its moments go on.
TEST(Optimizer, FreezesWhatWasThereAtRateZeroAndSparesNewbornEntriesTheirDecay) {
  const auto backend = make_cpu_backend();
  ParamTable table;
  table.add(w_a(6, 5));
  ParamStore params(*backend, table, DType::kF32);
  std::vector<float> start(30), grad(30, 0.25F);
  for (size_t i = 0; i < start.size(); ++i) start[i] = 0.1F * static_cast<float>(i + 1);
  params.set_weights(0, start.data());
  backend->copy_in(params.grad(0), grad.data());
  backend->run(ops::Zero{params.moment1()});
  backend->run(ops::Zero{params.moment2()});
  double sum_squares = 1.0;
  const Tensor norm{&sum_squares, DType::kF64, {1}};
  Optimizer optimizer(AdamW{}, 0.1, {generation(3, 4, 50), generation(5, 6, 0)});
  optimizer.set_newest_decays(false);
  for (const UpdateBlock& block : optimizer.update_blocks(table, 0, 0.5))
    EXPECT_EQ(block.weight_decay, block.step1 == 1 ? 0.0 : 0.1);
  optimizer.step(params, norm, 0, 0.5);
  std::vector<float> weights(30), moments(static_cast<size_t>(params.moment1().count()));  // with padding
  backend->copy_out(weights.data(), params.weight(0));
  backend->copy_out(moments.data(), params.moment1());
  for (size_t i = 0; i < 30; ++i) {
    const bool old = i / 5 < 4 && i % 5 < 3;
    EXPECT_EQ(weights[i] == start[i], old) << i;
    EXPECT_GT(moments[i], 0) << i;
  }
  optimizer.set_newest_decays(true);
  for (const UpdateBlock& block : optimizer.update_blocks(table, 0, 0.5)) EXPECT_EQ(block.weight_decay, 0.1);
}

}  // namespace
}  // namespace nexus
