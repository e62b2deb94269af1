// Whole models on the GPU against the CPU: losses, logits and every gradient of every kind of model.
#include <gtest/gtest.h>

#include "gpu/model_rig.h"
#include "support/device.h"
#include "support/tiny_models.h"

namespace nexus::testing {
namespace {

Backend& cpu() {
  static const std::unique_ptr<Backend> backend = make_cpu_backend();
  return *backend;
}

// Widths at which the libraries take their usual kernels, the own ones their vector paths; the vocabulary stays odd.
ModelConfig medium(ModelConfig c) {
  c.d = 256;
  c.heads = 4;
  c.kv_heads = c.kv_heads == 1 ? 2 : 0;
  if (c.arch == "nexusformer") c.counts = {{"M", 320}, {"A", 384}, {"F", 512}};
  if (c.arch == "transformer") c.counts = {{"F", 512}};
  c.rotary_share = 1.0;
  if (c.arch == "tokenformer") {
    const bool has_grown = c.counts.contains("scale_ffn");
    c.counts = {{"n_qkv", 320}, {"n_proj", 384}, {"n_ffn", 512}};
    if (has_grown) c.counts["scale_ffn"] = 400;
    c.rotary_share = 0.25;
  }
  c.counts["V"] = 1003;
  return c;
}

struct Size {
  bool is_medium;
  int64_t batch, context;
};

class Models : public ::testing::TestWithParam<NamedModel> {
 protected:
  static ModelConfig config(const Size& size) { return size.is_medium ? medium(GetParam().config) : GetParam().config; }
};

const Size kSizes[] = {{false, 2, 5}, {true, 2, 200}};

// Two libraries add the same products in another order. A sum of n terms differs by at most n roundings of its largest
// partial sum; a gradient passes about 10 products and norms: at most some 500 roundings of 6e-8 of its tensor's norm,
// as in tests/mpi/test_grids.cpp. Logits and losses pass half as many and no product of gradients.
TEST_P(Models, AgreeWithTheCpuInF32) {
  for (const Size& size : kSizes) {
    AnyModelRig gpu(device(), config(size), DType::kF32, size.batch, size.context);
    AnyModelRig host(cpu(), config(size), DType::kF32, size.batch, size.context);
    EXPECT_LT(relative_distance(gpu.logits(), host.logits()), 5e-6);
    EXPECT_LT(relative_distance(gpu.evaluated_losses(), host.evaluated_losses()), 5e-6);
    gpu.forward_backward();
    host.forward_backward();
    EXPECT_LT(relative_distance(gpu.losses(), host.losses()), 5e-6);
    for (int i = 0; i < gpu.table().size(); ++i)
      EXPECT_LT(relative_distance(gpu.gradient(i), host.gradient(i)), 3e-5) << gpu.table()[i].name;
  }
}

// bf16 rounds at other places in other kernels, so the yardstick is how far the CPU's bf16 is from its f32.
TEST_P(Models, AreAsCloseToF32InBf16AsTheCpuIs) {
  for (const Size& size : kSizes) {
    AnyModelRig gpu(device(), config(size), DType::kBF16, size.batch, size.context);
    AnyModelRig host(cpu(), config(size), DType::kBF16, size.batch, size.context);
    AnyModelRig exact(cpu(), config(size), DType::kF32, size.batch, size.context);
    for (AnyModelRig* rig : {&gpu, &host, &exact}) rig->forward_backward();
    // Errors are sums of random roundings; on the few numbers of a tiny tensor two draws differ by more than a third.
    const double slack = size.is_medium ? 1.35 : 3.0, floor = size.is_medium ? 1e-4 : 1e-3;
    EXPECT_LT(relative_distance(gpu.losses(), exact.losses()),
              slack * relative_distance(host.losses(), exact.losses()) + floor);
    for (int i = 0; i < gpu.table().size(); ++i)
      EXPECT_LT(relative_distance(gpu.gradient(i), exact.gradient(i)),
                slack * relative_distance(host.gradient(i), exact.gradient(i)) + floor)
          << gpu.table()[i].name;
  }
}

TEST_P(Models, RepeatTheirBits) {
  for (const DType dtype : kComputeTypes) {
    AnyModelRig one(device(), medium(GetParam().config), dtype, 2, 128),
        two(device(), medium(GetParam().config), dtype, 2, 128);
    one.forward_backward();
    two.forward_backward();
    EXPECT_EQ(one.losses(), two.losses());
    for (int i = 0; i < one.table().size(); ++i) EXPECT_EQ(one.gradient(i), two.gradient(i)) << one.table()[i].name;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Models, ::testing::ValuesIn(tiny_models()),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace nexus::testing
