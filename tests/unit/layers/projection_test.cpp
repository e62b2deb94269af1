#include <gtest/gtest.h>

#include "layers/linear.h"
#include "layers/mlp.h"
#include "layers/nexus_rank.h"
#include "layers/pattention.h"
#include "unit/layers/layer_rig.h"

namespace nexus {
namespace {

using testing::check_layer;
using testing::LayerRig;

// Odd widths, and rows (2 x 5) that are no multiple of a vector.
constexpr int64_t kD = 6, kM = 7, kA = 9;
const std::vector<std::string> kQkv = {"q", "k", "v"};

void check_nexus_rank(const std::vector<std::string>& prefixes, const std::vector<int64_t>& outs, NormKind norm,
                      GeluKind gelu) {
  ParamTable table;
  NexusRank layer(table, prefixes, {kD, kM, "M", kA, "A", outs, norm, gelu});
  LayerRig rig(table, 2, 5);
  check_layer(rig, layer, kD, layer.out_width());
}

TEST(NexusRank, OfOneGroupHasExactGradientsWithTheL2Norm) {
  check_nexus_rank({"o"}, {8}, NormKind::kL2, GeluKind::kErf);
}
TEST(NexusRank, OfOneGroupHasExactGradientsWithoutNorm) {
  check_nexus_rank({"o"}, {8}, NormKind::kNone, GeluKind::kErf);
}
TEST(NexusRank, HasExactGradientsWithTheTanhGelu) {
  check_nexus_rank({"o"}, {8}, NormKind::kL2, GeluKind::kTanh);
}
TEST(NexusRank, OfThreeEqualGroupsHasExactGradients) {
  check_nexus_rank(kQkv, {8, 8, 8}, NormKind::kL2, GeluKind::kErf);
}
TEST(NexusRank, OfThreeGroupsWithFewerKvOutputsHasExactGradients) {
  check_nexus_rank(kQkv, {8, 4, 4}, NormKind::kL2, GeluKind::kErf);
}

TEST(NexusRank, OfThreeGroupsEqualsThreeLayersOfOneGroup) {
  ParamTable together_table;
  NexusRank together(together_table, kQkv, {kD, kM, "M", kA, "A", {8, 4, 4}, NormKind::kL2, GeluKind::kErf});
  LayerRig together_rig(together_table, 1, 3);
  testing::HostTensor x = testing::random_tensor("x", {3, kD}), packed = testing::nan_tensor({3, 16});
  together.forward(together_rig.context(), x.view(), packed.view());

  int64_t begin = 0;
  for (size_t g = 0; g < kQkv.size(); ++g) {
    const int64_t out = g == 0 ? 8 : 4;
    ParamTable table;
    NexusRank alone(table, {kQkv[g]}, {kD, kM, "M", kA, "A", {out}, NormKind::kL2, GeluKind::kErf});
    LayerRig rig(table, 1, 3);  // draws by name: the same weights
    testing::HostTensor y = testing::nan_tensor({3, out});
    alone.forward(rig.context(), x.view(), y.view());
    for (int64_t r = 0; r < 3; ++r)
      for (int64_t j = 0; j < out; ++j)  // f64 sums of at most 9 terms, possibly in another order
        EXPECT_NEAR(packed.data()[r * 16 + begin + j], y.data()[r * out + j], 1e-13);
    begin += out;
  }
}

TEST(NexusRank, HasExactGradientsWithOtherScalesOfItsNorms) {
  ParamTable table;
  NexusRank layer(table, kQkv, {kD, kM, "M", kA, "A", {8, 4, 4}, NormKind::kL2, GeluKind::kErf});
  LayerRig rig(table, 2, 5);
  rig.params().set_norm_scales({{"M", {1.5, 1, 0}}, {"A", {1, 2.5, 0.3}}});
  check_layer(rig, layer, kD, layer.out_width());
}

// c^2 = O gain: a layer of 4 outputs with gain 4 computes what one of 16 does in its first 4.
TEST(NexusRank, TakesTheScaleOfANormFromTheStore) {
  const testing::HostTensor w_m = testing::random_tensor("w_m", {kM, kD}),
                            w_a = testing::random_tensor("w_a", {kA, kM}),
                            w_d = testing::random_tensor("w_d", {16, kA});
  const auto output = [&](int64_t out, const NormScales& scales) {
    ParamTable table;
    NexusRank layer(table, {"o"}, {kD, kM, "M", kA, "A", {out}, NormKind::kL2, GeluKind::kErf});
    LayerRig rig(table, 1, 3);
    rig.params().set_weights(0, w_m.values().data());
    rig.params().set_weights(1, w_a.values().data());
    rig.params().set_weights(2, w_d.values().data());  // the first rows of it
    rig.params().set_norm_scales(scales);
    testing::HostTensor x = testing::random_tensor("x", {3, kD}), y = testing::nan_tensor({3, out});
    layer.forward(rig.context(), x.view(), y.view());
    std::vector<double> first;
    for (int64_t r = 0; r < 3; ++r) first.insert(first.end(), y.data() + r * out, y.data() + r * out + 4);
    return first;
  };
  const std::vector<double> wide = output(16, {}), narrow = output(4, {{"M", {4, 1, 0}}, {"A", {2, 3, 0.5}}});
  for (size_t i = 0; i < wide.size(); ++i) EXPECT_NEAR(narrow[i], wide[i], 1e-13);  // f64 sums of at most 9 terms
  EXPECT_GT(std::abs(output(4, {{"M", {4, 1, 0}}})[0] - wide[0]), 1e-3);            // both norms have theirs
}

TEST(NexusRank, HasExactGradientsBehindMasks) {
  for (const NormKind norm : {NormKind::kL2, NormKind::kNone}) {
    ParamTable table;
    NexusRank layer(table, kQkv, {kD, kM, "M", kA, "A", {8, 4, 4}, norm, GeluKind::kErf});
    LayerRig rig(table, 2, 5);
    rig.params().set_growth_masks({{"M", {5, 0.3}}, {"A", {4, 0.7}}});
    check_layer(rig, layer, kD, layer.out_width());
  }
}

// What a layer gives behind masks is what it gives without, once the rows that make the masked channels are multiplied.
template <typename Layer>
void expect_masks_multiply_rows(LayerRig& rig, Layer& layer, const GrowthMasks& masks) {
  testing::HostTensor x = testing::random_tensor("x", {3, kD});
  const auto output = [&] {
    testing::HostTensor y = testing::nan_tensor({3, layer.out_width()});
    layer.forward(rig.context(), x.view(), y.view());
    return y.values();
  };
  const std::vector<double> open = output();
  rig.params().set_growth_masks(masks);
  const std::vector<double> masked = output();
  rig.params().set_growth_masks({});
  const ParamTable& table = rig.params().table();
  for (int index = 0; index < table.size(); ++index) {
    const Axis& rows = table[index].axes[0];
    const auto mask = masks.find(rows.width);
    if (mask == masks.end() || rows.role != AxisRole::kProduces) continue;
    const Tensor weight = rig.params().weight(index);
    const int64_t columns = weight.shape[1];
    for (int64_t i = mask->second.begin * columns; i < weight.count(); ++i) weight.as<double>()[i] *= mask->second.m;
  }
  const std::vector<double> multiplied = output();
  double difference = 0;
  for (size_t i = 0; i < masked.size(); ++i) {
    EXPECT_NEAR(masked[i], multiplied[i], 1e-13);  // f64 sums of at most 9 terms
    difference = std::max(difference, std::abs(masked[i] - open[i]));
  }
  EXPECT_GT(difference, 1e-3);
}

TEST(NexusRank, BehindMasksIsOneOfMultipliedRows) {
  ParamTable table;
  NexusRank layer(table, kQkv, {kD, kM, "M", kA, "A", {8, 4, 4}, NormKind::kL2, GeluKind::kErf});
  LayerRig rig(table, 1, 3);
  expect_masks_multiply_rows(rig, layer, {{"M", {5, 0.3}}, {"A", {4, 0.7}}});
}

TEST(Pattention, BehindAMaskHasExactGradientsAndIsOneOfMultipliedKeys) {
  const GrowthMasks masks = {{"n_qkv", {6, 0.4}}, {"n_ffn", {0, 0}}};  // the second one is of other layers
  ParamTable table;
  Pattention layer(table, kQkv, {kD, 9, "n_qkv", 9, {8, 4, 4}, GeluKind::kErf, 0.02});
  LayerRig rig(table, 1, 3);
  expect_masks_multiply_rows(rig, layer, masks);
  rig.params().set_growth_masks(masks);
  check_layer(rig, layer, kD, layer.out_width());
}

TEST(NexusRank, IsSilentInChannelsWhoseRowsAreZero) {
  // The fact that lossless growth rests on: zero rows of W_M and W_A change nothing, whatever the columns hold.
  const auto output = [](int64_t m, int64_t a) {
    ParamTable table;
    NexusRank layer(table, {"o"}, {kD, m, "M", a, "A", {8}, NormKind::kL2, GeluKind::kErf});
    LayerRig rig(table, 1, 3);
    const testing::HostTensor w_m = testing::random_tensor("w_m", {kM, kD}),
                              w_a = testing::random_tensor("w_a", {kA, kM});
    const testing::HostTensor w_d = testing::random_tensor("w_d", {8, kA});
    // Old entries where old channels meet, zero in new rows, 0.5 in new columns.
    const auto fill = [&](int index, const testing::HostTensor& old, int64_t old_rows, int64_t old_cols) {
      const Tensor w = rig.params().weight(index);
      for (int64_t i = 0; i < w.shape[0]; ++i)
        for (int64_t j = 0; j < w.shape[1]; ++j)
          w.as<double>()[i * w.shape[1] + j] =
              i >= old_rows ? 0.0 : (j >= old_cols ? 0.5 : old.values()[static_cast<size_t>(i * old_cols + j)]);
    };
    fill(0, w_m, kM, kD);
    fill(1, w_a, kA, kM);
    fill(2, w_d, 8, kA);
    testing::HostTensor x = testing::random_tensor("x", {3, kD}), y = testing::nan_tensor({3, 8});
    layer.forward(rig.context(), x.view(), y.view());
    return y.values();
  };
  const std::vector<double> small = output(kM, kA), grown = output(kM + 3, kA + 5);
  for (size_t i = 0; i < small.size(); ++i) EXPECT_NEAR(small[i], grown[i], 1e-13);  // f64 rounding of longer sums
}

TEST(Linear, OfThreeGroupsHasExactGradients) {
  ParamTable table;
  Linear layer(table, kQkv, kD, {8, 4, 4}, Place::kQkv, MatrixInit{});
  LayerRig rig(table, 2, 5);
  check_layer(rig, layer, kD, 16);
}

void check_mlp(GateKind gate, GeluKind gelu) {
  ParamTable table;
  Mlp layer(table, "mlp", kD, 11, gate, gelu, MatrixInit{});
  LayerRig rig(table, 2, 5);
  check_layer(rig, layer, kD, kD);
}
TEST(Mlp, WithSwiGluHasExactGradients) {
  check_mlp(GateKind::kSwiGlu, GeluKind::kErf);
}
TEST(Mlp, WithErfGeluHasExactGradients) {
  check_mlp(GateKind::kGelu, GeluKind::kErf);
}
TEST(Mlp, WithTanhGeluHasExactGradients) {
  check_mlp(GateKind::kGelu, GeluKind::kTanh);
}

void check_pattention(const std::vector<std::string>& prefixes, const std::vector<int64_t>& outs, int64_t scale) {
  ParamTable table;
  Pattention layer(table, prefixes, {kD, 9, "n_qkv", scale, outs, GeluKind::kErf, 0.02});
  LayerRig rig(table, 2, 5);
  check_layer(rig, layer, kD, layer.out_width());
}
TEST(Pattention, OfOneGroupHasExactGradients) {
  check_pattention({"o"}, {8}, 9);
}
TEST(Pattention, OfThreeGroupsHasExactGradients) {
  check_pattention(kQkv, {8, 8, 8}, 9);
}
TEST(Pattention, OfThreeGroupsWithFewerKvOutputsHasExactGradients) {
  check_pattention(kQkv, {8, 4, 4}, 9);
}
TEST(Pattention, HasExactGradientsWhenItsScaleStaysAtBirth) {
  check_pattention({"o"}, {8}, 4);
}

TEST(Pattention, OfAZeroInputRowGivesZeroAndNoNan) {
  ParamTable table;
  Pattention layer(table, {"o"}, {kD, 9, "n_qkv", 9, {8}, GeluKind::kErf, 0.02});
  LayerRig rig(table, 1, 2);
  testing::HostTensor x({2, kD}, std::vector<double>(2 * kD, 0.0)), y = testing::nan_tensor({2, 8});
  testing::HostTensor dy = testing::random_tensor("dy", {2, 8}), dx = testing::nan_tensor({2, kD});
  layer.forward(rig.context(), x.view(), y.view());
  layer.backward(rig.context(), dy.view(), dx.view());
  for (const double value : y.values()) EXPECT_EQ(value, 0.0);
  for (const double value : dx.values()) EXPECT_EQ(value, 0.0);  // dh = s du with s = 0
}

}  // namespace
}  // namespace nexus
