#include "layers/self_attention.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "layers/linear.h"
#include "unit/layers/layer_rig.h"

namespace nexus {
namespace {

using testing::LayerRig;

SelfAttention make_attention(ParamTable& table, const SelfAttentionOptions& options, int64_t d,
                             bool normalise = false) {
  const int64_t q = options.heads * options.head_dim, kv = options.kv_heads * options.head_dim;
  auto qkv = std::make_unique<Linear>(table, std::vector<std::string>{"q", "k", "v"}, d,
                                      std::vector<int64_t>{q, kv, kv}, Place::kQkv, MatrixInit{});
  std::optional<QkNorm> norm;
  if (normalise)
    norm = QkNorm{HeadNormLayer(table, "q_norm", options.heads, options.head_dim),
                  HeadNormLayer(table, "k_norm", options.kv_heads, options.head_dim)};
  auto o = std::make_unique<Linear>(table, std::vector<std::string>{"o"}, q, std::vector<int64_t>{d}, Place::kO,
                                    MatrixInit{});
  return SelfAttention(options, std::move(qkv), std::move(norm), std::move(o));
}

void check_attention(const SelfAttentionOptions& options, bool normalise = false) {
  ParamTable table;
  SelfAttention layer = make_attention(table, options, 6, normalise);
  LayerRig rig(table, 2, 5);
  testing::check_layer(rig, layer, 6, 6);
}

TEST(SelfAttention, HasExactGradients) {
  check_attention({2, 2, 4, 4});
}
TEST(SelfAttention, WithGroupedQueriesHasExactGradients) {
  check_attention({4, 2, 4, 4});
}
TEST(SelfAttention, WithOneKvHeadHasExactGradients) {
  check_attention({3, 1, 4, 4});
}
TEST(SelfAttention, WithPartlyRotatedHeadsHasExactGradients) {
  check_attention({2, 2, 8, 2});
}
TEST(SelfAttention, WithNormalisedQueriesAndKeysHasExactGradients) {
  check_attention({2, 2, 4, 4}, true);
  check_attention({4, 2, 6, 2}, true);
}

TEST(SelfAttention, WithNormalisedQueriesAndKeysDoesNotSeeTheirLengths) {
  ParamTable table;
  SelfAttention layer = make_attention(table, {2, 1, 4, 4}, 6, true);
  LayerRig rig(table, 1, 6);
  testing::HostTensor x = testing::random_tensor("x", {6, 6});
  testing::HostTensor y = testing::nan_tensor({6, 6});
  layer.forward(rig.context(), x.view(), y.view());
  const std::vector<double> before = y.values();
  for (const char* name : {"q.weight", "k.weight"}) {
    const Tensor weight = rig.context().params.weight(table.find(name));
    for (int64_t i = 0; i < weight.count(); ++i) weight.as<double>()[i] *= 100;
  }
  layer.forward(rig.context(), x.view(), y.view());
  // Only the norm's epsilon sees them: 3.3e-6 of outputs up to 1.7 as measured; without the norm they would turn over.
  for (size_t i = 0; i < before.size(); ++i) EXPECT_NEAR(y.values()[i], before[i], 2e-5);
}

TEST(SelfAttention, DoesNotLookAhead) {
  ParamTable table;
  SelfAttention layer = make_attention(table, {2, 1, 4, 4}, 6);
  LayerRig rig(table, 1, 6);
  testing::HostTensor x = testing::random_tensor("x", {6, 6}), y = testing::nan_tensor({6, 6});
  layer.forward(rig.context(), x.view(), y.view());
  const std::vector<double> before = y.values();
  for (int64_t j = 0; j < 6; ++j) x.data()[4 * 6 + j] += 1.0;  // the fifth token
  layer.forward(rig.context(), x.view(), y.view());
  for (size_t i = 0; i < 4 * 6; ++i) EXPECT_EQ(y.values()[i], before[i]);
  for (size_t i = 4 * 6; i < 6 * 6; ++i) EXPECT_NE(y.values()[i], before[i]);
}

TEST(SelfAttention, SeesTheOrderOfEarlierTokens) {
  // Without rotation the last output would be a symmetric function of the tokens before it.
  ParamTable table;
  SelfAttention layer = make_attention(table, {1, 1, 4, 4}, 6);
  LayerRig rig(table, 1, 4);
  testing::HostTensor x = testing::random_tensor("x", {4, 6}), y = testing::nan_tensor({4, 6});
  layer.forward(rig.context(), x.view(), y.view());
  const std::vector<double> before(y.data() + 18, y.data() + 24);
  std::swap_ranges(x.data(), x.data() + 6, x.data() + 6);
  layer.forward(rig.context(), x.view(), y.view());
  for (size_t j = 0; j < 6; ++j) EXPECT_GT(std::abs(y.values()[18 + j] - before[j]), 1e-6);  // far above f64 rounding
}

TEST(SelfAttention, RefusesAProjectionOfTheWrongWidth) {
  ParamTable table;
  EXPECT_THROW(SelfAttention({2, 2, 4, 4},
                             std::make_unique<Linear>(table, std::vector<std::string>{"q"}, 6, std::vector<int64_t>{8},
                                                      Place::kQkv, MatrixInit{}),
                             std::nullopt, nullptr),
               Error);
}

}  // namespace
}  // namespace nexus
