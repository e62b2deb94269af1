// Models as configurations of transformers and back, and configurations that nexus cannot compute.
#include "interchange/hf_config.h"

#include "growth/grow.h"
#include "model/model.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

TrainState state_of(ModelConfig model) {
  model.d = 32;
  model.layers = 2;
  model.heads = 4;
  model.kv_heads = 2;
  model.counts["V"] = 50;
  model.validate();
  TrainState state;
  state.model = model;
  state.generations = {first_generation(model)};
  state.stages = {{"base", 640, 1e6}};
  state.stage_numerics = {{}};
  state.samples = 20;
  state.seed = 9;
  state.flops_def = "exact";
  state.data.tokenizer = "abc";
  return state;
}

json written(const TrainState& state) {
  return json::parse(hf_config(state, {"run", 32}, "float32", SpecialIds{1, 2}).dump());
}

// A Llama as transformers 5 writes it, as far as nexus reads it.
json llama() {
  return {{"model_type", "llama"},
          {"hidden_size", 32},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"vocab_size", 50},
          {"intermediate_size", 48},
          {"rms_norm_eps", 1e-6},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", true},
          {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 5e5}}}};
}

TEST(HfConfig, EveryArchitectureComesBack) {
  for (const char* arch : {"nexusformer", "tokenformer", "transformer"}) {
    ModelConfig model;
    model.arch = arch;
    if (model.arch == "tokenformer") model.counts = {{"n_qkv", 8}, {"n_proj", 9}, {"n_ffn", 10}, {"scale_ffn", 7}};
    const TrainState state = state_of(model);
    const TrainState back = state_from_hf(written(state), "config.json");
    EXPECT_EQ(back.model, state.model) << arch;
    EXPECT_EQ(back.inherited_tokens, 640);
    EXPECT_EQ(back.total_tokens(), 640);
    EXPECT_EQ(back.samples, 20);
    EXPECT_EQ(back.seed, 9u);
    EXPECT_EQ(back.flops_def, "exact");
    EXPECT_EQ(back.data.tokenizer, "abc");
    ASSERT_EQ(back.generations.size(), 1u);
    EXPECT_EQ(back.generations[0], first_generation(state.model));
  }
}

TEST(HfConfig, NormScalesComeBack) {
  TrainState state = state_of({});
  state.norm_scales["M"] = {1.5, 1.25, 0.5};
  EXPECT_EQ(state_from_hf(written(state), "c").norm_scales, state.norm_scales);
  json config = written(state);
  config["norm_scales"]["M"]["gain"] = -1.0;
  EXPECT_NEXUS_ERROR(state_from_hf(config, "c"), ErrorKind::kCheckpoint, HasSubstr("norm_scales.M is not positive"));
}

TEST(HfConfig, OnlyWhatLlamaComputesIsALlama) {
  ModelConfig plain;
  plain.arch = "transformer";
  const ModelConfig model = state_of(plain).model;
  EXPECT_TRUE(is_llama(model));
  for (const auto& [key, word] : {std::pair("mlp", "gelu"), std::pair("qk_norm", "rms")}) {
    ModelConfig other = model;
    other.words[key] = word;
    EXPECT_FALSE(is_llama(other)) << key;
  }
  ModelConfig part = model;
  part.rotary_share = 0.5;
  EXPECT_FALSE(is_llama(part));
}

TEST(HfConfig, EveryTensorOfALlamaHasAName) {
  ModelConfig plain;
  plain.arch = "transformer";
  const Model model(state_of(plain).model);
  std::set<std::string> names;
  for (const ParamSpec& spec : model.table()) names.insert(hf_tensor_name(model.config(), spec.name));
  EXPECT_EQ(static_cast<int>(names.size()), model.table().size());
  EXPECT_TRUE(names.contains("model.layers.1.self_attn.o_proj.weight"));
  EXPECT_TRUE(names.contains("lm_head.weight"));
}

TEST(HfConfig, ALlamaOfTransformers) {
  const ModelConfig model = state_from_hf(llama(), "c").model;
  EXPECT_EQ(model.arch, "transformer");
  EXPECT_EQ(model.rope_theta, 5e5);
  EXPECT_EQ(model.count("F"), 48);
  EXPECT_TRUE(model.flag("tie"));
  EXPECT_TRUE(is_llama(model));
  EXPECT_EQ(model.kv(), 2);
}

TEST(HfConfig, WhatNexusDoesNotComputeIsNamed) {
  const std::vector<std::pair<json, std::string>> changes = {
      {{{"model_type", "gpt2"}}, "model_type is \"gpt2\""},
      {{{"rms_norm_eps", 1e-5}}, "rms_norm_eps is 1e-05"},
      {{{"rms_norm_eps", nullptr}}, "rms_norm_eps is missing"},
      {{{"hidden_act", "gelu"}}, "hidden_act is \"gelu\""},
      {{{"attention_bias", true}}, "attention_bias is true"},
      {{{"mlp_bias", true}}, "mlp_bias is true"},
      {{{"head_dim", 16}}, "head_dim is 16"},
      {{{"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}}, "type is \"linear\""},
      {{{"rope_parameters", {{"rope_type", "llama3"}}}}, "rope_type is \"llama3\""},
      {{{"hidden_size", "32"}}, "'hidden_size' is no whole number"},
      {{{"num_attention_heads", 0}}, "'num_attention_heads' is 0"},
      {{{"vocab_size", nullptr}}, "vocab_size is missing"},
      {{{"num_attention_heads", 5}}, "does not divide"},
  };
  for (const auto& [change, what] : changes) {
    json config = llama();
    config.merge_patch(change);
    EXPECT_NEXUS_ERROR(state_from_hf(config, "c"), ErrorKind::kCheckpoint, HasSubstr(what));
  }
  EXPECT_NEXUS_ERROR(state_from_hf(json::array(), "c"), ErrorKind::kCheckpoint, HasSubstr("model_type is missing"));
  json config = llama();
  config["nexus_run"] = {{"samples", "x"}};
  EXPECT_NEXUS_ERROR(state_from_hf(config, "c"), ErrorKind::kCheckpoint, HasSubstr("nexus_run cannot be read"));
}

}  // namespace
}  // namespace nexus
