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
inline ModelConfig tiny_config(Arch arch) {
  ModelConfig c;
  c.arch = arch;
  c.d = 12;
  c.layers = 2;
  c.heads = 3;
  c.vocab = 17;
  c.m = 7;
  c.a = 9;
  c.f = 10;
  if (arch == Arch::kTokenformer) {
    c.n_qkv = 8;
    c.n_proj = 9;
    c.n_ffn = 11;
    c.tie = true;
    c.rotary_share = 0.5;
  }
  return c;
}

inline std::vector<NamedModel> tiny_models() {
  const ModelConfig nexus = tiny_config(Arch::kNexusformer), transformer = tiny_config(Arch::kTransformer);
  const ModelConfig tokenformer = tiny_config(Arch::kTokenformer);
  const auto with = [](ModelConfig config, auto change) {
    change(config);
    return config;
  };
  using C = ModelConfig;
  return {
      {"NexusFull", nexus},
      {"NexusFullNoNorm", with(nexus, [](C& c) { c.norm = NormKind::kNone; })},
      {"NexusFullTanh", with(nexus, [](C& c) { c.gelu = GeluKind::kTanh; })},
      {"NexusFullOneKvHeadTied", with(nexus, [](C& c) { c.kv_heads = 1, c.tie = true; })},
      {"NexusQkv", with(nexus, [](C& c) { c.variant = Variant::kQkv; })},
      {"NexusQkvNoNormTanh",
       with(nexus, [](C& c) { c.variant = Variant::kQkv, c.norm = NormKind::kNone, c.gelu = GeluKind::kTanh; })},
      {"Tokenformer", tokenformer},
      {"TokenformerUntiedGrownScale", with(tokenformer, [](C& c) { c.tie = false, c.scale_ffn = 6, c.kv_heads = 1; })},
      {"TransformerSwiGlu", transformer},
      {"TransformerGeluTied", with(transformer, [](C& c) { c.mlp = GateKind::kGelu, c.tie = true, c.kv_heads = 1; })},
  };
}

// The same model with all widths four times as large: tests of rounding need rows that average it.
inline ModelConfig widened(ModelConfig c) {
  for (int64_t* width : {&c.d, &c.m, &c.a, &c.f, &c.n_qkv, &c.n_proj, &c.n_ffn, &c.scale_ffn}) *width *= 4;
  return c;
}

}  // namespace nexus::testing
