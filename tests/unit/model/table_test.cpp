// The parameter table of every architecture: counts, names, order, roles and initialisation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "model/model.h"
#include "support/tiny_models.h"

namespace nexus {
namespace {

using testing::tiny_config;

// Written from docs/numerics.md, not from the table: q, k, v, o and the MLP as three matrices each.
int64_t nexus_parameters(int64_t d, int64_t l, int64_t m, int64_t a, int64_t f, int64_t v) {
  const int64_t projection = m * d + a * m + d * a, mlp = m * d + f * m + d * f;
  return l * (4 * projection + mlp + 2 * d) + 2 * v * d + d;
}

struct Rung {
  const char* name;
  int64_t m, a, parameters;
};

TEST(ParamTable, HasTheParameterCountsOfTheLadder) {
  const Rung ladder[] = {{"170m", 640, 832, 169'495'296},   {"240m", 1024, 1152, 239'487'744},
                         {"300m", 1152, 1664, 302'795'520}, {"380m", 1408, 2048, 381'438'720},
                         {"440m", 1664, 2176, 439'634'688}, {"640m", 2176, 2944, 637'815'552}};
  for (const Rung& rung : ladder) {
    ModelConfig config;
    config.counts["M"] = rung.m;
    config.counts["A"] = rung.a;
    EXPECT_EQ(Model(config).table().count(), rung.parameters) << rung.name;
    EXPECT_EQ(nexus_parameters(768, 12, rung.m, rung.a, 2048, 32000), rung.parameters) << rung.name;
  }
}

TEST(ParamTable, HasTheParameterCountOfTheSmallModel) {
  ModelConfig config;
  config.layers = 3;
  config.d = 192;
  config.heads = 4;
  config.counts["M"] = 256;
  config.counts["A"] = 320;
  config.counts["F"] = 512;
  config.counts["V"] = 4096;
  EXPECT_EQ(Model(config).table().count(), 4'719'936);
}

std::vector<std::string> names_of_layer_0(const ModelConfig& config) {
  std::vector<std::string> names;
  const Model model(config);
  for (const ParamSpec& spec : model.table())
    if (spec.name.starts_with("layers.0.")) names.push_back(spec.name.substr(9));
  return names;
}

TEST(ParamTable, NamesANexusformersTensorsWithQkvAdjacent) {
  EXPECT_THAT(names_of_layer_0(tiny_config("nexusformer")),
              ::testing::ElementsAre("attn_norm.weight", "attn.q.w_m", "attn.k.w_m", "attn.v.w_m", "attn.q.w_a",
                                     "attn.k.w_a", "attn.v.w_a", "attn.q.w_d", "attn.k.w_d", "attn.v.w_d", "attn.o.w_m",
                                     "attn.o.w_a", "attn.o.w_d", "mlp_norm.weight", "mlp.w_m", "mlp.w_a", "mlp.w_d"));
}

TEST(ParamTable, NamesTheQkvVariantsTensors) {
  ModelConfig config = tiny_config("nexusformer");
  config.words["variant"] = "qkv";
  EXPECT_THAT(names_of_layer_0(config),
              ::testing::ElementsAre("attn_norm.weight", "attn.q.w_m", "attn.k.w_m", "attn.v.w_m", "attn.q.w_a",
                                     "attn.k.w_a", "attn.v.w_a", "attn.q.w_d", "attn.k.w_d", "attn.v.w_d",
                                     "attn.o.weight", "mlp_norm.weight", "mlp.w_gate", "mlp.w_up", "mlp.w_down"));
}

TEST(ParamTable, NamesATokenformersTensors) {
  EXPECT_THAT(names_of_layer_0(tiny_config("tokenformer")),
              ::testing::ElementsAre("attn.q.key", "attn.k.key", "attn.v.key", "attn.q.value", "attn.k.value",
                                     "attn.v.value", "attn.o.key", "attn.o.value", "mlp.key", "mlp.value"));
}

TEST(ParamTable, NamesATransformersTensors) {
  ModelConfig config = tiny_config("transformer");
  EXPECT_THAT(names_of_layer_0(config),
              ::testing::ElementsAre("attn_norm.weight", "attn.q.weight", "attn.k.weight", "attn.v.weight",
                                     "attn.o.weight", "mlp_norm.weight", "mlp.w_gate", "mlp.w_up", "mlp.w_down"));
  config.words["mlp"] = "gelu";
  EXPECT_THAT(names_of_layer_0(config), ::testing::Contains("mlp.w_up"));
  EXPECT_THAT(names_of_layer_0(config), ::testing::Not(::testing::Contains("mlp.w_gate")));
}

TEST(ParamTable, HoldsEmbeddingNormAndHeadOnceAndNoHeadWhenTied) {
  ModelConfig config = tiny_config("nexusformer");
  const Model untied(config);
  config.words["tie"] = "true";
  const Model tied(config);
  EXPECT_EQ(untied.table()[0].name, "embed.weight");
  EXPECT_EQ(untied.table()[untied.table().size() - 1].name, "head.weight");
  EXPECT_EQ(tied.table().find("head.weight"), -1);
  EXPECT_EQ(untied.table().count() - tied.table().count(), config.count("V") * config.d);
}

// What growth relies on: each growable extent says which width it follows and whether it makes or reads channels.
TEST(ParamTable, StatesWidthAndRoleOfEveryGrowableAxis) {
  const auto axes = [](const ModelConfig& config, const std::string& name) {
    const Model model(config);
    const ParamSpec& spec = model.table()[model.table().find("layers.1." + name)];
    std::string text;
    for (const Axis& axis : spec.axes)
      text += axis.width == kFixedWidth
                  ? " fixed"
                  : fmt::format(" {} {}", axis.role == AxisRole::kProduces ? "makes" : "reads", axis.width);
    return text;
  };
  const ModelConfig nexus = tiny_config("nexusformer"), tokenformer = tiny_config("tokenformer");
  EXPECT_EQ(axes(nexus, "attn.k.w_m"), " makes M fixed");
  EXPECT_EQ(axes(nexus, "attn.k.w_a"), " makes A reads M");
  EXPECT_EQ(axes(nexus, "attn.k.w_d"), " fixed reads A");
  EXPECT_EQ(axes(nexus, "mlp.w_m"), " makes M fixed");
  EXPECT_EQ(axes(nexus, "mlp.w_a"), " fixed reads M");  // F never grows
  EXPECT_EQ(axes(nexus, "mlp.w_d"), " fixed fixed");
  EXPECT_EQ(axes(tokenformer, "attn.v.key"), " makes n_qkv fixed");
  EXPECT_EQ(axes(tokenformer, "attn.v.value"), " reads n_qkv fixed");
  EXPECT_EQ(axes(tokenformer, "attn.o.key"), " makes n_proj fixed");
  EXPECT_EQ(axes(tokenformer, "mlp.value"), " reads n_ffn fixed");
  EXPECT_EQ(axes(tiny_config("transformer"), "mlp.w_up"), " fixed fixed");
}

TEST(ParamTable, ExtentsFollowTheWidthTheyName) {
  for (const testing::NamedModel& named : testing::tiny_models()) {
    const Model model(named.config);
    for (const ParamSpec& spec : model.table())
      for (const Axis& axis : spec.axes) {
        if (axis.width == kFixedWidth) continue;
        EXPECT_EQ(axis.extent, model.config().width(axis.width)) << spec.name;
      }
  }
}

TEST(ParamTable, DecaysMatricesButNotNorms) {
  for (const testing::NamedModel& named : testing::tiny_models()) {
    const Model model(named.config);
    for (const ParamSpec& spec : model.table()) {
      EXPECT_EQ(spec.decay, spec.axes.size() == 2) << spec.name;
      EXPECT_EQ(spec.init == Init::kOnes, spec.axes.size() == 1) << spec.name;
    }
  }
}

TEST(ParamTable, DrawsValuesOfATokenformerNarrowerWithDepth) {
  const ModelConfig config = tiny_config("tokenformer");
  const Model model(config);
  for (const ParamSpec& spec : model.table()) {
    if (spec.axes.size() != 2) continue;
    const bool value = spec.name.ends_with(".value");
    EXPECT_DOUBLE_EQ(spec.init_std, value ? 2.0 / 2 / std::sqrt(12.0) : 0.02) << spec.name;
  }
}

// Of a model whose extents all differ: D 12, M 7, A 9, F 10, L 2.
TEST(ParamTable, DrawsByFanInAndEndsOfBranchesNarrowerWithDepth) {
  struct Case {
    const char *arch, *variant, *name;
    int64_t in;
    bool ends_branch;
  };
  const Case cases[] = {
      {"nexusformer", "full", "attn.k.w_m", 12, false},  {"nexusformer", "full", "attn.k.w_a", 7, false},
      {"nexusformer", "full", "attn.k.w_d", 9, false},   {"nexusformer", "full", "attn.o.w_d", 9, true},
      {"nexusformer", "full", "mlp.w_a", 7, false},      {"nexusformer", "full", "mlp.w_d", 10, true},
      {"nexusformer", "qkv", "attn.o.weight", 12, true}, {"nexusformer", "qkv", "mlp.w_up", 12, false},
      {"nexusformer", "qkv", "mlp.w_down", 10, true},    {"transformer", "", "attn.q.weight", 12, false},
      {"transformer", "", "attn.o.weight", 12, true},    {"transformer", "", "mlp.w_gate", 12, false},
      {"transformer", "", "mlp.w_down", 10, true},       {"tokenformer", "", "attn.q.key", 12, false},
      {"tokenformer", "", "attn.q.value", 8, false},     {"tokenformer", "", "attn.o.key", 12, false},
      {"tokenformer", "", "attn.o.value", 9, true},      {"tokenformer", "", "mlp.value", 11, true}};
  for (const Case& c : cases) {
    ModelConfig config = tiny_config(c.arch);
    if (*c.variant != 0) config.words["variant"] = c.variant;
    config.words["init"] = "fan_in";
    const Model model(config);
    const ParamSpec& spec = model.table()[model.table().find(std::string("layers.1.") + c.name)];
    EXPECT_DOUBLE_EQ(spec.init_std, 1.0 / std::sqrt(static_cast<double>(c.in) * (c.ends_branch ? 4.0 : 1.0)))
        << c.arch << " " << c.variant << " " << c.name;
    EXPECT_EQ(model.table()[0].init_std, 0.02);  // the embedding
  }
}

TEST(ParamTable, HasWeightsForEveryHeadOfQAndKWhereTheyAreNormalised) {
  for (const char* arch : {"nexusformer", "tokenformer", "transformer"}) {
    ModelConfig config = tiny_config(arch);
    config.kv_heads = 1;
    const int64_t before = Model(config).table().count();
    config.words["qk_norm"] = "rms";
    const Model model(config, Sharding{});
    EXPECT_EQ(model.table()[model.table().find("layers.1.attn.q_norm.weight")].rows(), 12);
    EXPECT_EQ(model.table()[model.table().find("layers.1.attn.k_norm.weight")].rows(), 4);
    EXPECT_EQ(model.table().count(), before + 2 * (12 + 4));
  }
}

}  // namespace
}  // namespace nexus
