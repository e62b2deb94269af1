#include "model/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/expect_error.h"
#include "support/tiny_models.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;
using testing::tiny_config;

TEST(ModelConfig, AcceptsTheDefaultsAndEveryTinyModel) {
  ModelConfig config;
  EXPECT_NO_THROW(config.validate());
  for (testing::NamedModel& model : testing::tiny_models()) EXPECT_NO_THROW(model.config.validate()) << model.name;
}

// Each row: the change, and the key that the message must name.
TEST(ModelConfig, RefusesImpossibleWidthsNamingTheKey) {
  struct Case {
    void (*change)(ModelConfig&);
    const char* key;
  };
  const Case cases[] = {
      {[](ModelConfig& c) { c.d = 0; }, "model.D"},
      {[](ModelConfig& c) { c.d = -12; }, "model.D"},
      {[](ModelConfig& c) { c.d = int64_t{1} << 40; }, "model.D"},
      {[](ModelConfig& c) { c.layers = 0; }, "model.L"},
      {[](ModelConfig& c) { c.layers = 1'000'000; }, "model.L"},
      {[](ModelConfig& c) { c.heads = 0; }, "model.H"},
      {[](ModelConfig& c) { c.heads = 5; }, "model.H"},
      {[](ModelConfig& c) { c.heads = 12; }, "model.H"},  // heads of one element cannot rotate
      {[](ModelConfig& c) { c.kv_heads = 2; }, "model.kv_heads"},
      {[](ModelConfig& c) { c.kv_heads = 6; }, "model.kv_heads"},
      {[](ModelConfig& c) { c.kv_heads = -1; }, "model.kv_heads"},
      {[](ModelConfig& c) { c.vocab = 0; }, "model.V"},
      {[](ModelConfig& c) { c.m = 0; }, "model.M"},
      {[](ModelConfig& c) { c.a = -3; }, "model.A"},
      {[](ModelConfig& c) { c.f = 0; }, "model.F"},
      {[](ModelConfig& c) { c.rotary_share = 0; }, "model.rotary_share"},
      {[](ModelConfig& c) { c.rotary_share = 1.5; }, "model.rotary_share"},
      {[](ModelConfig& c) { c.rotary_share = std::nan(""); }, "model.rotary_share"},
      {[](ModelConfig& c) { c.rope_theta = 0; }, "model.rope_theta"},
      {[](ModelConfig& c) { c.rope_theta = std::nan(""); }, "model.rope_theta"},
  };
  for (const Case& wrong : cases) {
    ModelConfig config = tiny_config(Arch::kNexusformer);
    wrong.change(config);
    EXPECT_NEXUS_ERROR(config.validate(), ErrorKind::kConfig, HasSubstr(std::string("; ") + wrong.key + ";"));
  }
}

TEST(ModelConfig, RefusesATokenformerWithoutTokens) {
  for (const auto member : {&ModelConfig::n_qkv, &ModelConfig::n_proj, &ModelConfig::n_ffn}) {
    ModelConfig config = tiny_config(Arch::kTokenformer);
    config.*member = 0;
    EXPECT_NEXUS_ERROR(config.validate(), ErrorKind::kConfig, HasSubstr("model.n_"));
  }
}

TEST(ModelConfig, ChecksOnlyTheWidthsOfItsArchitecture) {
  ModelConfig config = tiny_config(Arch::kTransformer);
  config.m = config.a = 0;
  EXPECT_NO_THROW(config.validate());
}

TEST(ModelConfig, FillsDefaults) {
  ModelConfig config = tiny_config(Arch::kTokenformer);
  config.scale_ffn = 5;
  config.validate();
  EXPECT_EQ(config.kv_heads, config.heads);
  EXPECT_EQ(config.scale_qkv, config.n_qkv);
  EXPECT_EQ(config.scale_proj, config.n_proj);
  EXPECT_EQ(config.scale_ffn, 5);  // a scale that was set at birth stays when the tokens grow
}

TEST(ModelConfig, ReadsAndSetsEveryGrowableWidth) {
  ModelConfig config;
  int64_t value = 100;
  for (const Width width : {Width::kM, Width::kA, Width::kTokensQkv, Width::kTokensProj, Width::kTokensFfn}) {
    config.set_width(width, ++value);
    EXPECT_EQ(config.width(width), value);
  }
  EXPECT_EQ(config.m, 101);
  EXPECT_EQ(config.n_ffn, 105);
  EXPECT_NEXUS_ERROR(config.width(Width::kFixed), ErrorKind::kInternal, HasSubstr("fixed"));
  EXPECT_NEXUS_ERROR(config.set_width(Width::kFixed, 1), ErrorKind::kInternal, HasSubstr("fixed"));
}

TEST(ModelConfig, DescribesWhatDistinguishesModels) {
  EXPECT_EQ(describe(tiny_config(Arch::kNexusformer)),
            "arch nexusformer variant full D 12 L 2 H 3 kv_heads 3 V 17 M 7 A 9 F 10 norm l2 gelu erf tie false "
            "rope_theta 10000 rotary_share 1");
  const std::vector<testing::NamedModel> models = testing::tiny_models();
  for (size_t i = 0; i < models.size(); ++i)
    for (size_t j = 0; j < i; ++j) EXPECT_NE(describe(models[i].config), describe(models[j].config));
}

}  // namespace
}  // namespace nexus
