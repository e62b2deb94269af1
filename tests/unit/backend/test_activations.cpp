#include "unit/backend/backend_test.h"

namespace nexus::test {
namespace {

struct RowsOfGroups {
  int64_t rows, groups, width;
};
const std::vector<RowsOfGroups> kGeluSizes = {{1, 1, 1}, {1, 3, 17}, {5, 1, 64}, {33, 3, 100}, {7, 2, 257}};

NormGelu make_op(NormKind norm, GeluKind gelu, int64_t groups) {
  NormGelu op;
  op.norm = norm;
  op.gelu = gelu;
  for (int64_t g = 0; g < groups; ++g)
    op.scales.push_back(std::sqrt(30.0 + static_cast<double>(g)));  // no floats: f64 sees them whole
  return op;
}

class NormGeluTest : public EveryType {
 protected:
  template <typename Check>
  void for_each_variant(const Check& check) {
    for (const RowsOfGroups& size : kGeluSizes) {
      for (const NormKind norm : {NormKind::kNone, NormKind::kL2}) {
        for (const GeluKind gelu : {GeluKind::kErf, GeluKind::kTanh}) {
          SCOPED_TRACE(::testing::Message() << size.rows << "x" << size.groups << "x" << size.width << " norm "
                                            << (norm == NormKind::kL2) << " erf " << (gelu == GeluKind::kErf));
          check(make_op(norm, gelu, size.groups), size);
        }
      }
    }
  }
};

TEST_P(NormGeluTest, ForwardMatchesTheLoops) {
  for_each_variant([&](const NormGelu& op, const RowsOfGroups& size) {
    const Values h = random(size.rows * size.groups * size.width);
    const Shape shape = {size.rows, size.groups, size.width};
    const TestTensor input(device(), dtype(), shape, h);
    TestTensor output(device(), dtype(), shape), row_scale(device(), wide(), {size.rows, size.groups});
    device().run(ops::NormGeluForward{op, input, output, row_scale});
    const auto expected = reference::norm_gelu_forward(op, h, size.rows, size.groups, size.width);
    // GELU is good to 1e-6 relative; its argument carries the norm's rounding, which the slope passes on: 2e-6
    // absolute.
    const double absolute = dtype() == DType::kF64 ? 1e-14 : 2e-6;
    expect_close(output.values(), expected.a, relative(), absolute, "a");
    if (op.norm == NormKind::kL2) expect_close(row_scale.values(), expected.row_scale, wide_relative(), 0, "row_scale");
  });
}

TEST_P(NormGeluTest, BackwardMatchesTheLoops) {
  for_each_variant([&](const NormGelu& op, const RowsOfGroups& size) {
    const int64_t count = size.rows * size.groups * size.width;
    const Values h = random(count), da = random(count);
    const Shape shape = {size.rows, size.groups, size.width};
    const TestTensor input(device(), dtype(), shape, h), gradient(device(), dtype(), shape, da);
    TestTensor a(device(), dtype(), shape), row_scale(device(), wide(), {size.rows, size.groups});
    TestTensor dh(device(), dtype(), shape);
    device().run(ops::NormGeluForward{op, input, a, row_scale});
    device().run(ops::NormGeluBackward{op, gradient, input, row_scale, dh});
    // dh subtracts a projection from s du; both are at most s |da| <= 10 s large, and round like sums over the row.
    double largest_scale = 1;
    if (op.norm == NormKind::kL2) {
      for (const double value : row_scale.values()) largest_scale = std::max(largest_scale, value);
    }
    const Values expected = reference::norm_gelu_backward(op, da, h, size.rows, size.groups, size.width);
    expect_close(dh.values(), expected, relative(), 10 * largest_scale * sum_error(size.width), "dh");
    // dh may alias da.
    const std::vector<char> separate = dh.raw();
    device().run(ops::NormGeluBackward{op, gradient, input, row_scale, gradient});
    EXPECT_EQ(gradient.raw(), separate);
  });
}

TEST_P(NormGeluTest, ZeroRowsGiveZerosAndFiniteGradients) {
  for (const double eps : {0.0, 1e-5}) {
    NormGelu op = make_op(NormKind::kL2, GeluKind::kErf, 1);
    op.eps = eps;
    const TestTensor h(device(), dtype(), {2, 19}, Values(38, 0.0)), da(device(), dtype(), {2, 19}, Values(38, 1.0));
    TestTensor a(device(), dtype(), {2, 19}), row_scale(device(), wide(), {2, 1}), dh(device(), dtype(), {2, 19});
    device().run(ops::NormGeluForward{op, h, a, row_scale});
    device().run(ops::NormGeluBackward{op, da, h, row_scale, dh});
    const double s = eps > 0 ? op.scales[0] / eps : 0.0;
    EXPECT_EQ(a.values(), Values(38, 0.0));
    // dh = s * GELU'(0) = s / 2, up to the type's rounding.
    expect_close(dh.values(), Values(38, 0.5 * s), relative(), 0, "dh");
  }
}

TEST_P(NormGeluTest, NanReachesTheOutputOfItsRowOnly) {
  Values h = random(3 * 40);
  h[45] = std::numeric_limits<double>::quiet_NaN();
  const TestTensor input(device(), dtype(), {3, 40}, h);
  TestTensor a(device(), dtype(), {3, 40}), row_scale(device(), wide(), {3, 1});
  device().run(ops::NormGeluForward{make_op(NormKind::kL2, GeluKind::kErf, 1), input, a, row_scale});
  const Values values = a.values();
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(std::isnan(values[i]), i / 40 == 1) << i;
}

NX_FOR_EVERY_TYPE(NormGeluTest);

TEST(NormGelu, BackwardIsTheSlopeOfForward) {
  NX_NEEDS_F64();
  constexpr int64_t kRows = 3, kGroups = 2, kWidth = 11, kCount = kRows * kGroups * kWidth;
  for (const NormKind norm : {NormKind::kNone, NormKind::kL2}) {
    for (const GeluKind gelu : {GeluKind::kErf, GeluKind::kTanh}) {
      const NormGelu op = make_op(norm, gelu, kGroups);
      const Shape shape = {kRows, kGroups, kWidth};
      const Values h = random_values(kCount), da = random_values(kCount);
      TestTensor a(device(), DType::kF64, shape), row_scale(device(), DType::kF64, {kRows, kGroups});
      const auto loss = [&](const Values& x) {
        const TestTensor input(device(), DType::kF64, shape, x);
        device().run(ops::NormGeluForward{op, input, a, row_scale});
        return dot(a.values(), da);
      };
      loss(h);
      const TestTensor input(device(), DType::kF64, shape, h), gradient(device(), DType::kF64, shape, da);
      TestTensor dh(device(), DType::kF64, shape);
      device().run(ops::NormGeluBackward{op, gradient, input, row_scale, dh});
      expect_gradient(dh.values(), h, loss, "dh");
    }
  }
}

class GateTest : public EveryType {};

TEST_P(GateTest, ForwardAndBackwardMatchTheLoops) {
  for (const RowsOfGroups& size : kGeluSizes) {
    for (const GateKind gate : {GateKind::kSwiGlu, GateKind::kGelu}) {
      const int64_t inputs = (gate == GateKind::kSwiGlu ? 2 : 1) * size.width;
      const Values h = random(size.rows * inputs), da = random(size.rows * size.width);
      const TestTensor input(device(), dtype(), {size.rows, inputs}, h);
      const TestTensor gradient(device(), dtype(), {size.rows, size.width}, da);
      TestTensor a(device(), dtype(), {size.rows, size.width}), dh(device(), dtype(), {size.rows, inputs});
      device().run(ops::GateForward{gate, GeluKind::kErf, input, a});
      device().run(ops::GateBackward{gate, GeluKind::kErf, gradient, input, dh});
      // Products of three numbers of magnitude up to 4: a few roundings of 6e-8 each.
      const double absolute = dtype() == DType::kF64 ? 1e-14 : 4e-6;
      expect_close(a.values(), reference::gate_forward(gate, GeluKind::kErf, h, size.rows, size.width), relative(),
                   absolute, "a");
      expect_close(dh.values(), reference::gate_backward(gate, GeluKind::kErf, da, h, size.rows, size.width),
                   relative(), absolute, "dh");
    }
  }
}

NX_FOR_EVERY_TYPE(GateTest);

TEST(Gate, BackwardIsTheSlopeOfForward) {
  NX_NEEDS_F64();
  for (const GateKind gate : {GateKind::kSwiGlu, GateKind::kGelu}) {
    const int64_t width = 9, inputs = gate == GateKind::kSwiGlu ? 18 : 9;
    const Values h = random_values(2 * inputs), da = random_values(2 * width);
    TestTensor a(device(), DType::kF64, {2, width}), dh(device(), DType::kF64, {2, inputs});
    const auto loss = [&](const Values& x) {
      const TestTensor input(device(), DType::kF64, {2, inputs}, x);
      device().run(ops::GateForward{gate, GeluKind::kTanh, input, a});
      return dot(a.values(), da);
    };
    const TestTensor input(device(), DType::kF64, {2, inputs}, h), gradient(device(), DType::kF64, {2, width}, da);
    device().run(ops::GateBackward{gate, GeluKind::kTanh, gradient, input, dh});
    expect_gradient(dh.values(), h, loss, "dh");
  }
}

}  // namespace
}  // namespace nexus::test
