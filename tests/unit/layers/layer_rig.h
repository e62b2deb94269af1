// Checks one layer in f64: random input, random cotangent, gradients of everything by finite differences.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "layers/projection.h"
#include "support/gradient_check.h"
#include "support/host_tensors.h"

namespace nexus::testing {

// Parameters of a table that the test has filled, on the CPU in f64. The table must outlive the rig.
class LayerRig {
 public:
  LayerRig(const ParamTable& table, int64_t batch, int64_t context)
      : backend_(make_cpu_backend(1)),
        params_(*backend_, table, DType::kF64),
        arena_(poisoned_arena(1 << 22)),
        batch_(batch),
        context_(context) {
    draw_lively(params_);
    params_.zero_grad();
  }

  LayerContext context(Pass pass = Pass::kTraining) { return {*backend_, arena_, params_, batch_, context_, pass}; }
  ParamStore& params() { return params_; }
  Arena& arena() { return arena_; }
  int64_t rows() const { return batch_ * context_; }

  // Every parameter's gradient in the store against finite differences of `value`.
  void expect_param_gradients(const GradientCheck& check) {
    GradientCheck copy = check;
    for (int i = 0; i < params_.table().size(); ++i)
      copy.expect(params_.table()[i].name, params_.weight(i).as<double>(), params_.grad(i).as<double>(),
                  params_.weight(i).count());
  }

 private:
  std::unique_ptr<Backend> backend_;
  ParamStore params_;
  Arena arena_;
  int64_t batch_, context_;
};

inline double dot(const HostTensor& a, const HostTensor& b) {
  double sum = 0;
  for (size_t i = 0; i < a.values().size(); ++i) sum += a.values()[i] * b.values()[i];
  return sum;
}

// For anything with forward(ctx, x, y) and backward(ctx, dy, dx): value sum(c * y) for a random c. Also checks that two
// backward passes add up, and that an evaluation gives the same y and keeps no memory.
template <typename Layer>
void check_layer(LayerRig& rig, Layer& layer, int64_t in_width, int64_t out_width) {
  HostTensor x = random_tensor("x", {rig.rows(), in_width});
  HostTensor c = random_tensor("cotangent", {rig.rows(), out_width});
  HostTensor y = nan_tensor({rig.rows(), out_width}), dx = nan_tensor({rig.rows(), in_width});
  const auto value = [&] {
    const Arena::Frame frame(rig.arena());
    layer.forward(rig.context(), x.view(), y.view());
    return dot(y, c);
  };
  const auto backward = [&] {
    const Arena::Frame frame(rig.arena());
    layer.forward(rig.context(), x.view(), y.view());
    layer.backward(rig.context(), c.view(), dx.view());
  };
  backward();
  GradientCheck check(value);
  check.expect("x", x.data(), dx.data(), x.count());
  rig.expect_param_gradients(check);

  const Tensor& grad = rig.params().grad();
  const std::vector<double> once(grad.as<double>(), grad.as<double>() + grad.count());
  backward();
  for (size_t i = 0; i < once.size(); ++i)  // one more sum of the same terms: rounding only
    ASSERT_NEAR(grad.as<double>()[i], 2 * once[i], 1e-12 * (1 + std::abs(once[i])));

  value();
  HostTensor evaluated = nan_tensor({rig.rows(), out_width});
  const int64_t used = rig.arena().used_bytes();
  layer.forward(rig.context(Pass::kEvaluation), x.view(), evaluated.view());
  EXPECT_EQ(rig.arena().used_bytes(), used);
  EXPECT_EQ(evaluated.values(), y.values());
}

}  // namespace nexus::testing
