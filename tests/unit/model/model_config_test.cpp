#include "model/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/expect_error.h"
#include "support/tiny_models.h"

namespace nexus {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
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
      {[](ModelConfig& c) { c.counts["V"] = 0; }, "model.V"},
      {[](ModelConfig& c) { c.counts["M"] = 0; }, "model.M"},
      {[](ModelConfig& c) { c.counts["A"] = -3; }, "model.A"},
      {[](ModelConfig& c) { c.counts["F"] = 0; }, "model.F"},
      {[](ModelConfig& c) { c.rotary_share = 0; }, "model.rotary_share"},
      {[](ModelConfig& c) { c.rotary_share = 1.5; }, "model.rotary_share"},
      {[](ModelConfig& c) { c.rotary_share = std::nan(""); }, "model.rotary_share"},
      {[](ModelConfig& c) { c.rope_theta = 0; }, "model.rope_theta"},
      {[](ModelConfig& c) { c.rope_theta = std::nan(""); }, "model.rope_theta"},
  };
  for (const Case& wrong : cases) {
    ModelConfig config = tiny_config("nexusformer");
    wrong.change(config);
    EXPECT_NEXUS_ERROR(config.validate(), ErrorKind::kConfig, HasSubstr(std::string("; ") + wrong.key + ";"));
  }
}

TEST(ModelConfig, RefusesATokenformerWithoutTokens) {
  for (const char* key : {"n_qkv", "n_proj", "n_ffn"}) {
    ModelConfig config = tiny_config("tokenformer");
    config.counts.erase(key);
    EXPECT_NEXUS_ERROR(config.validate(), ErrorKind::kConfig, HasSubstr("model.n_"));
  }
}

TEST(ModelConfig, RefusesArchitecturesAndWordsThatAreNone) {
  ModelConfig config = tiny_config("nexusformer");
  config.words["norm"] = "l3";
  EXPECT_NEXUS_ERROR(config.validate(), ErrorKind::kConfig, HasSubstr("model.norm"));
  config.arch = "nexusfromer";
  EXPECT_NEXUS_ERROR(config.validate(), ErrorKind::kConfig, HasSubstr("did you mean nexusformer?"));
}

TEST(ModelConfig, ForgetsWhatItsArchitectureDoesNotHave) {
  ModelConfig config = tiny_config("nexusformer"), with_more = config;
  with_more.counts["n_qkv"] = 8;
  with_more.words["mlp"] = "gelu";  // of variant qkv only
  config.validate();
  with_more.validate();
  EXPECT_EQ(config, with_more);
}

TEST(ModelConfig, ChecksOnlyTheWidthsOfItsArchitecture) {
  ModelConfig config = tiny_config("transformer");
  config.counts["M"] = config.counts["A"] = 0;
  EXPECT_NO_THROW(config.validate());
}

TEST(ModelConfig, FillsDefaults) {
  ModelConfig config = tiny_config("tokenformer");
  config.counts["scale_ffn"] = 5;
  config.validate();
  EXPECT_EQ(config.kv_heads, config.heads);
  EXPECT_EQ(config.count("scale_qkv"), config.count("n_qkv"));
  EXPECT_EQ(config.count("scale_proj"), config.count("n_proj"));
  EXPECT_EQ(config.count("scale_ffn"), 5);  // a scale that was set at birth stays when the tokens grow
}

TEST(ModelConfig, ReadsAndSetsEveryGrowableWidth) {
  EXPECT_THAT(tiny_config("nexusformer").growable_widths(), ElementsAre("M", "A"));
  EXPECT_THAT(tiny_config("tokenformer").growable_widths(), ElementsAre("n_qkv", "n_proj", "n_ffn"));
  EXPECT_THAT(tiny_config("transformer").growable_widths(), IsEmpty());
  ModelConfig config;
  for (const Width& width : config.growable_widths()) {
    config.set_width(width, 101);
    EXPECT_EQ(config.width(width), 101);
  }
  EXPECT_NEXUS_ERROR(config.width(kFixedWidth), ErrorKind::kInternal, HasSubstr("fixed"));
  EXPECT_NEXUS_ERROR(config.set_width(kFixedWidth, 1), ErrorKind::kInternal, HasSubstr("fixed"));
}

TEST(ModelConfig, DescribesWhatDistinguishesModels) {
  EXPECT_EQ(describe(tiny_config("nexusformer")),
            "arch nexusformer D 12 L 2 H 3 kv_heads 3 V 17 variant full M 7 A 9 F 10 norm l2 gelu erf tie false "
            "rope_theta 10000 rotary_share 1");
  ModelConfig other = tiny_config("transformer");
  other.words["qk_norm"] = "rms";
  EXPECT_EQ(describe(other),
            "arch transformer D 12 L 2 H 3 kv_heads 3 V 17 F 10 mlp swiglu gelu erf tie false "
            "rope_theta 10000 rotary_share 1 qk_norm rms");
  const std::vector<testing::NamedModel> models = testing::tiny_models();
  for (size_t i = 0; i < models.size(); ++i)
    for (size_t j = 0; j < i; ++j) EXPECT_NE(describe(models[i].config), describe(models[j].config));
}

}  // namespace
}  // namespace nexus
