// Norm and GELU of rows that are cut over ranks: every piece is computed by itself, sums are added as an all-reduce
// would, and the whole is compared with the fused operations and with plain loops.
#include "unit/backend/backend_test.h"

namespace nexus::test {
namespace {

struct SplitRows {
  int64_t rows, groups, width;
};
const std::vector<SplitRows> kSplitSizes = {{1, 1, 4}, {1, 3, 17}, {5, 1, 64}, {33, 3, 100}, {7, 2, 257}};

NormGelu make_op(GeluKind gelu, int64_t groups, double eps = 1e-5) {
  NormGelu op;
  op.gelu = gelu;
  op.eps = eps;
  for (int64_t g = 0; g < groups; ++g) op.scales.push_back(std::sqrt(30.0 + static_cast<double>(g)));
  return op;
}

// What the fused operations give, or the split ones put together.
struct GeluResult {
  Values a, row_scale, dh;
};

GeluResult run_fused(const NormGelu& op, DType dtype, const SplitRows& size, const Values& h, const Values& da) {
  const Shape shape = {size.rows, size.groups, size.width};
  const TestTensor input(device(), dtype, shape, h), gradient(device(), dtype, shape, da);
  TestTensor a(device(), dtype, shape), scale(device(), wide_of(dtype), {size.rows, size.groups}),
      dh(device(), dtype, shape);
  device().run(ops::NormGeluForward{op, input, a, scale});
  device().run(ops::NormGeluBackward{op, gradient, input, scale, dh});
  return {a.values(), scale.values(), dh.values()};
}

// One rank's columns of h and da, and what it computes from them.
struct Piece {
  int64_t begin, end;
  TestTensor h, da, a, row_scale, dh, sums;

  Piece(DType dtype, const SplitRows& size, const Values& whole_h, const Values& whole_da, int64_t from, int64_t to)
      : begin(from),
        end(to),
        h(device(), dtype, {size.rows, size.groups, to - from}, columns(whole_h, size.width, from, to)),
        da(device(), dtype, {size.rows, size.groups, to - from}, columns(whole_da, size.width, from, to)),
        a(device(), dtype, {size.rows, size.groups, to - from}),
        row_scale(device(), wide_of(dtype), {size.rows, size.groups}),
        dh(device(), dtype, {size.rows, size.groups, to - from}),
        sums(device(), wide_of(dtype), {size.rows, size.groups}) {}
};

// Uneven pieces where the width does not divide.
std::vector<Piece> cut(DType dtype, const SplitRows& size, const Values& h, const Values& da, int64_t count) {
  std::vector<Piece> pieces;
  for (int64_t i = 0; i < count; ++i)
    pieces.emplace_back(dtype, size, h, da, size.width * i / count, size.width * (i + 1) / count);
  return pieces;
}

// What an all-reduce does to `sums`, in rank order and in the type of the sums.
void add_up(std::vector<Piece>& pieces) {
  const Piece& first = pieces.front();
  for (size_t i = 1; i < pieces.size(); ++i) device().run(ops::Add{pieces[i].sums, first.sums});
  for (size_t i = 1; i < pieces.size(); ++i) device().run(ops::Copy{first.sums, pieces[i].sums});
}

GeluResult run_split(const NormGelu& op, DType dtype, const SplitRows& size, const Values& h, const Values& da,
                     int64_t count) {
  std::vector<Piece> pieces = cut(dtype, size, h, da, count);
  for (Piece& piece : pieces) device().run(ops::RowSumSquares{piece.h, piece.sums});
  add_up(pieces);
  for (Piece& piece : pieces) device().run(ops::NormGeluForwardFrom{op, piece.h, piece.sums, piece.a, piece.row_scale});
  for (Piece& piece : pieces)
    device().run(ops::NormGeluBackwardSums{op, piece.da, piece.h, piece.row_scale, piece.sums});
  add_up(pieces);
  for (Piece& piece : pieces)
    device().run(ops::NormGeluBackwardFrom{op, piece.da, piece.h, piece.row_scale, piece.sums, piece.dh});
  GeluResult result{Values(h.size()), pieces.front().row_scale.values(), Values(h.size())};
  for (const Piece& piece : pieces) {
    set_columns(result.a, size.width, piece.begin, piece.end, piece.a.values());
    set_columns(result.dh, size.width, piece.begin, piece.end, piece.dh.values());
    EXPECT_EQ(piece.row_scale.raw(), pieces.front().row_scale.raw()) << "ranks scale a row differently";
  }
  return result;
}

class SplitNormGeluTest : public EveryType {
 protected:
  // Both sides are sums over the row in some order: the fused operation's own tolerances (test_activations.cpp). a:
  // GELU is good to 1e-6 and its argument carries the norm's rounding. dh: s du minus a projection, at most 10 s large,
  // rounded like a sum over the row. Two rounded results may lie two
  // roundings apart, one on each side of the exact value.
  void expect_same(const GeluResult& actual, const GeluResult& expected, int64_t width, double roundings) const {
    const double absolute = dtype() == DType::kF64 ? 1e-14 : 2e-6;
    expect_close(actual.a, expected.a, roundings * relative(), absolute, "a");
    expect_close(actual.row_scale, expected.row_scale, wide_relative(), 0, "row_scale");
    const double largest = *std::max_element(expected.row_scale.begin(), expected.row_scale.end());
    expect_close(actual.dh, expected.dh, roundings * relative(), 10 * largest * sum_error(width), "dh");
  }

  GeluResult loops(const NormGelu& op, const SplitRows& size, const Values& h, const Values& da) const {
    const auto forward = reference::norm_gelu_forward(op, h, size.rows, size.groups, size.width);
    return {forward.a, forward.row_scale, reference::norm_gelu_backward(op, da, h, size.rows, size.groups, size.width)};
  }
};

TEST_P(SplitNormGeluTest, PiecesPutTogetherAreTheFusedOperation) {
  for (const SplitRows& size : kSplitSizes) {
    for (const GeluKind gelu : {GeluKind::kErf, GeluKind::kTanh}) {
      const NormGelu op = make_op(gelu, size.groups);
      const Values h = random(size.rows * size.groups * size.width), da = random(static_cast<int64_t>(h.size()));
      const GeluResult fused = run_fused(op, dtype(), size, h, da), expected = loops(op, size, h, da);
      for (const int64_t pieces : {1, 2, 4}) {
        SCOPED_TRACE(::testing::Message() << size.rows << "x" << size.groups << "x" << size.width << " in " << pieces
                                          << " erf " << (gelu == GeluKind::kErf));
        const GeluResult split = run_split(op, dtype(), size, h, da, pieces);
        expect_same(split, fused, size.width, 2);
        expect_same(split, expected, size.width, 1);
      }
    }
  }
}

TEST_P(SplitNormGeluTest, SumsMatchTheLoops) {
  for (const SplitRows& size : kSplitSizes) {
    const NormGelu op = make_op(GeluKind::kErf, size.groups);
    const Values h = random(size.rows * size.groups * size.width), da = random(static_cast<int64_t>(h.size()));
    std::vector<Piece> piece = cut(dtype(), size, h, da, 1);
    device().run(ops::RowSumSquares{piece[0].h, piece[0].sums});
    expect_close(piece[0].sums.values(), reference::row_dots(h, h, size.width), wide_relative(), sum_error(size.width),
                 "sum of squares");
    device().run(ops::NormGeluForwardFrom{op, piece[0].h, piece[0].sums, piece[0].a, piece[0].row_scale});
    device().run(ops::NormGeluBackwardSums{op, piece[0].da, piece[0].h, piece[0].row_scale, piece[0].sums});
    // Terms u du of magnitude up to 7 * 3 * 1.13 (scales of 5 to 6 spread over the row, da of up to 3 deviations).
    expect_close(piece[0].sums.values(),
                 reference::norm_gelu_backward_sums(op, da, h, piece[0].row_scale.values(), size.width),
                 wide_relative(), 24 * sum_error(size.width), "r");
  }
}

// Pattention has eps = 0. Rows far below eps are where the norm is lost in the row's scale.
TEST_P(SplitNormGeluTest, ZeroAndTinyRowsAreThoseOfTheFusedOperation) {
  const SplitRows size{6, 1, 20};
  const Values da = random(120);
  for (const double eps : {0.0, 1e-5}) {
    const NormGelu op = make_op(GeluKind::kErf, 1, eps);
    Values h = random(120);
    // Row 0 is zero, row 1 only in its second half; without eps the squares of tinier rows would vanish in f32.
    const double sizes[] = {0.0, 1.0, 1e-12, 1e-9, 1e-6, 1.0};
    for (size_t i = 0; i < h.size(); ++i)
      h[i] = rounded(dtype(), h[i] * (eps > 0 ? sizes[i / 20] : std::min(1.0, 1e6 * sizes[i / 20])));
    for (size_t i = 30; i < 40; ++i) h[i] = 0;
    const GeluResult fused = run_fused(op, dtype(), size, h, da), expected = loops(op, size, h, da);
    for (const int64_t pieces : {1, 2, 4}) {
      SCOPED_TRACE(::testing::Message() << "eps " << eps << " in " << pieces);
      const GeluResult split = run_split(op, dtype(), size, h, da, pieces);
      // Row by row: a common tolerance would be that of the row with the largest scale.
      for (int64_t row = 0; row < size.rows; ++row) {
        const auto row_of = [&](const GeluResult& all) {
          const auto part = [&](const Values& values, int64_t width) {
            return Values(values.begin() + row * width, values.begin() + (row + 1) * width);
          };
          return GeluResult{part(all.a, 20), part(all.row_scale, 1), part(all.dh, 20)};
        };
        SCOPED_TRACE(row);
        expect_same(row_of(split), row_of(fused), 20, 2);
        expect_same(row_of(split), row_of(expected), 20, 1);
      }
      EXPECT_EQ(Values(split.a.begin(), split.a.begin() + 20), Values(20, 0.0));
      if (eps == 0) {
        EXPECT_EQ(split.row_scale[0], 0.0);
        EXPECT_EQ(Values(split.dh.begin(), split.dh.begin() + 20), Values(20, 0.0));
      }
    }
  }
}

TEST_P(SplitNormGeluTest, TheGradientMayReplaceTheOutputsGradient) {
  const SplitRows size{5, 2, 33};
  const NormGelu op = make_op(GeluKind::kTanh, 2);
  std::vector<Piece> piece = cut(dtype(), size, random(330), random(330), 1);
  device().run(ops::RowSumSquares{piece[0].h, piece[0].sums});
  device().run(ops::NormGeluForwardFrom{op, piece[0].h, piece[0].sums, piece[0].a, piece[0].row_scale});
  device().run(ops::NormGeluBackwardSums{op, piece[0].da, piece[0].h, piece[0].row_scale, piece[0].sums});
  device().run(ops::NormGeluBackwardFrom{op, piece[0].da, piece[0].h, piece[0].row_scale, piece[0].sums, piece[0].dh});
  device().run(ops::NormGeluBackwardFrom{op, piece[0].da, piece[0].h, piece[0].row_scale, piece[0].sums, piece[0].da});
  EXPECT_EQ(piece[0].da.raw(), piece[0].dh.raw());
}

TEST_P(SplitNormGeluTest, NanInOnePieceReachesTheWholeRowAndNoOther) {
  const SplitRows size{3, 1, 40};
  Values h = random(120);
  h[45] = std::numeric_limits<double>::quiet_NaN();
  const GeluResult split = run_split(make_op(GeluKind::kErf, 1), dtype(), size, h, random(120), 2);
  for (size_t i = 0; i < h.size(); ++i) {
    EXPECT_EQ(std::isnan(split.a[i]), i / 40 == 1) << i;
    EXPECT_EQ(std::isnan(split.dh[i]), i / 40 == 1) << i;
  }
}

NX_FOR_EVERY_TYPE(SplitNormGeluTest);

TEST(SplitNormGelu, BackwardIsTheSlopeOfForward) {
  NX_NEEDS_F64();
  const SplitRows size{3, 2, 11};
  for (const double eps : {0.0, 0.5}) {  // a large eps makes the term with eps / ||h|| count
    for (const GeluKind gelu : {GeluKind::kErf, GeluKind::kTanh}) {
      const NormGelu op = make_op(gelu, size.groups, eps);
      const Values h = random_values(66), da = random_values(66);
      const auto loss = [&](const Values& x) { return dot(run_split(op, DType::kF64, size, x, da, 3).a, da); };
      expect_gradient(run_split(op, DType::kF64, size, h, da, 3).dh, h, loss, "dh");
    }
  }
}

}  // namespace
}  // namespace nexus::test
