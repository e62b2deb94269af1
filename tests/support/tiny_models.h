// Every kind of model at widths that fit a finite-difference test.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "model/model_config.h"

namespace nexus::testing {

struct NamedModel {
  std::string name;
  ModelConfig config;

  // How GoogleTest names the parameter of a failed test.
  friend void PrintTo(const NamedModel& model, std::ostream* out) { *out << describe(model.config); }
};

// Odd widths throughout: nothing is a multiple of a vector, and no two widths are equal.
inline ModelConfig tiny_config(const std::string& arch) {
  ModelConfig c;
  c.arch = arch;
  c.d = 12;
  c.layers = 2;
  c.heads = 3;
  if (arch == "nexusformer") c.counts = {{"M", 7}, {"A", 9}, {"F", 10}};
  if (arch == "transformer") c.counts = {{"F", 10}};
  if (arch == "tokenformer") {
    c.counts = {{"n_qkv", 8}, {"n_proj", 9}, {"n_ffn", 11}};
    c.words["tie"] = "true";
    c.rotary_share = 0.5;
  }
  c.counts["V"] = 17;
  return c;
}

inline std::vector<NamedModel> tiny_models() {
  const ModelConfig nexus = tiny_config("nexusformer"), transformer = tiny_config("transformer");
  const ModelConfig tokenformer = tiny_config("tokenformer");
  const auto with = [](ModelConfig config, auto change) {
    change(config);
    return config;
  };
  using C = ModelConfig;
  return {
      {"NexusFull", nexus},
      {"NexusFullNoNorm", with(nexus, [](C& c) { c.words["norm"] = "none"; })},
      {"NexusFullTanh", with(nexus, [](C& c) { c.gelu = GeluKind::kTanh; })},
      {"NexusFullOneKvHeadTied", with(nexus, [](C& c) { c.kv_heads = 1, c.words["tie"] = "true"; })},
      {"NexusQkv", with(nexus, [](C& c) { c.words["variant"] = "qkv"; })},
      {"NexusQkvNoNormTanh",
       with(nexus, [](C& c) { c.words["variant"] = "qkv", c.words["norm"] = "none", c.gelu = GeluKind::kTanh; })},
      {"Tokenformer", tokenformer},
      {"TokenformerUntiedGrownScale",
       with(tokenformer, [](C& c) { c.words["tie"] = "false", c.counts["scale_ffn"] = 6, c.kv_heads = 1; })},
      {"TransformerSwiGlu", transformer},
      {"TransformerGeluTied",
       with(transformer, [](C& c) { c.words["mlp"] = "gelu", c.words["tie"] = "true", c.kv_heads = 1; })},
      {"NexusFullFanInQkNorm", with(nexus, [](C& c) { c.words["init"] = "fan_in", c.words["qk_norm"] = "rms"; })},
      {"NexusQkvFanIn", with(nexus, [](C& c) { c.words["variant"] = "qkv", c.words["init"] = "fan_in"; })},
      {"TokenformerFanInQkNorm",
       with(tokenformer, [](C& c) { c.words["init"] = "fan_in", c.words["qk_norm"] = "rms"; })},
      {"TransformerFanInQkNormOneKvHead",
       with(transformer, [](C& c) { c.words["init"] = "fan_in", c.words["qk_norm"] = "rms", c.kv_heads = 1; })},
  };
}

// The same model with all widths four times as large: tests of rounding need rows that average it.
inline ModelConfig widened(ModelConfig c) {
  c.d *= 4;
  for (auto& [key, width] : c.counts) width *= 4;
  return c;
}

}  // namespace nexus::testing
