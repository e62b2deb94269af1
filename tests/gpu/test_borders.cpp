// Sizes at the borders between the kernels of one operation, where the parity tests' sizes of real models do not go.
#include <fmt/format.h>

#include "gpu/parity.h"

namespace nexus::test {
namespace {

// Up to 8 packs of 16 bytes for a lane of a warp, then of a block, then rows are walked; and one pack more or less.
TEST_P(Parity, RowNormsOfEveryKernel) {
  for (const int64_t width :
       {8, 256, 264, 512, 1000, 1016, 1032, 1536, 1792, 2040, 2056, 4096, 4104, 8200, 16384, 16392}) {
    for (const int64_t rows : {1, 5}) {
      expect_parity(fmt::format("row norm of {} x {}", rows, width), [&](Side& side) {
        const RowNorm op{RowNormKind::kLayer, 1e-6f};
        const Tensor x = side.updated("x", side.dtype(), {rows, width}, kExact), weight = side.input({width});
        const Tensor delta = side.input({rows, width}), dy = side.input({rows, width});
        const Tensor stats = side.wide_output("stats", {rows, 2});
        side.backend.run(ops::AddNormForward{op, x, delta, weight, side.output("y", {rows, width}), stats});
        const Tensor dx = side.updated("dx", side.dtype(), {rows, width}, bound_of(side.dtype()));
        side.backend.run(
            ops::NormBackward{op, dy, x, weight, stats, dx, side.updated("dweight", side.wide(), {width}, kF32)});
      });
    }
  }
}

// Contexts shorter than a block's tokens, the last block not full, a table for one token only, half of a head.
TEST_P(Parity, RopeOfEveryShape) {
  for (const Rope& op : {Rope{1, 3, 64, 32, 200, 10000.0f}, Rope{7, 4, 256, 128, 1024, 10000.0f},
                         Rope{33, 2, 4096, 4096, 8192, 10000.0f}, Rope{17, 2, 12, 12, 24, 10000.0f}}) {
    expect_parity(fmt::format("rope of {} x {} x {}", op.context, op.heads, op.head_dim), [&](Side& side) {
      const Tensor x = side.updated("x", side.dtype(), {3 * op.context, op.ld}, bound_of(side.dtype()));
      side.backend.run(ops::Rotate{op, x, false});
    });
  }
}

// Every width of unit, rows shorter and longer than a block's share, matrices stacked, side by side and shared.
TEST_P(Parity, CopiesOfEveryAlignment) {
  for (const int64_t cols : {1, 2, 4, 8, 33, 64, 1024, 1032}) {
    for (const int64_t gap : {0, 1, 4, 8}) {
      for (const bool shared : {false, true}) {
        constexpr int64_t kRows = 41, kBatch = 3;
        const int64_t ld = cols + gap, beside = kBatch * ld, stride = kRows * ld;
        expect_parity(fmt::format("copy of {} columns, {} apart, shared {}", cols, gap, shared), [&](Side& side) {
          const Tensor from = side.input({kBatch * stride});
          const Tensor to = side.updated("to", side.dtype(), {kRows * beside}, kExact);
          side.backend.run(ops::CopyMatrix{Mat::view(from, kRows, cols, ld).batched(kBatch, shared ? 0 : stride),
                                           Mat::view(to, kRows, cols, beside).batched(kBatch, ld)});
        });
      }
    }
  }
}

// More blocks than one table holds, of one element each: the same bits as one block of all.
TEST_P(Parity, ManyBlocksAreOneBlock) {
  constexpr int64_t kBlocks = 31000;
  std::vector<UpdateBlock> single;
  for (int64_t i = 0; i < kBlocks; ++i)
    single.push_back({.offset = i, .state_offset = i, .cols = 1, .learning_rate = 0.1, .weight_decay = 0.1});
  const UpdateBlock whole = {.cols = kBlocks, .learning_rate = 0.1, .weight_decay = 0.1};
  Operands operands("many blocks");
  const auto update = [&](const std::vector<UpdateBlock>& blocks) {
    return run(gpu(), dtype(), operands, 0, [&](Side& side) {
      const Tensor grad = side.input_as(side.wide(), {kBlocks});
      const Tensor moment1 = side.updated("moment1", side.wide(), {kBlocks}, kExact);
      const Tensor moment2 = side.written("moment2", kExact, side.positive_as(side.wide(), {kBlocks}, 0.1));
      const Tensor master = side.updated("master", side.wide(), {kBlocks}, kExact);
      side.backend.run(ops::AdamWUpdate{
          {}, blocks, Tensor(), grad, moment1, moment2, master, side.output("compute", {kBlocks}), Tensor()});
    });
  };
  expect_same_bits(update(single), update({whole}));
}

// Hundreds of ranges, some of them empty: their sums are added in order.
TEST_P(Parity, ManyRangesAreAddedInOrder) {
  constexpr int64_t kCount = 40000;
  std::vector<FlatRange> ranges;
  for (int64_t i = 0; i < 700; ++i) ranges.push_back({i * 20 + i % 3, i % 7 == 0 ? 0 : 17});
  ranges.push_back({16001, kCount - 16001});
  Operands operands("many ranges");
  const auto sum = [&](const std::vector<FlatRange>& of) {
    return run(gpu(), dtype(), operands, 0,
               [&](Side& side) {
                 side.backend.run(
                     ops::SumSquares{side.input({kCount}), of, side.output("sum", DType::kF64, {1}, kExact)});
               })[0]
        .values[0];
  };
  double expected = 0;
  for (const FlatRange& range : ranges) expected += sum({range});
  EXPECT_EQ(sum(ranges), expected);
}

INSTANTIATE_TEST_SUITE_P(Types, Parity, testing::Values(DType::kF32, DType::kBF16),
                         [](const auto& param) { return std::string(name_of(param.param)); });

}  // namespace
}  // namespace nexus::test
