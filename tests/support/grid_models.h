// Every kind of model at widths that four tensor-parallel ranks can cut.
#pragma once

#include <vector>

#include "support/tiny_models.h"

namespace nexus::testing {

// Widths that four ranks can cut, no two of them equal; the vocabulary does not divide.
inline ModelConfig divisible(ModelConfig c) {
  c.d = 32;
  c.heads = 8;
  c.kv_heads = c.kv_heads == 1 ? 4 : 0;  // grouped queries stay grouped
  c.rotary_share = 1.0;
  if (c.arch == "nexusformer") c.counts = {{"M", 28}, {"A", 36}, {"F", 40}};
  if (c.arch == "transformer") c.counts = {{"F", 40}};
  if (c.arch == "tokenformer") {
    c.counts = {{"n_qkv", 44}, {"n_proj", 48}, {"n_ffn", 52}};
    c.rotary_share = 0.5;
  }
  c.counts["V"] = 37;
  return c;
}

inline std::vector<NamedModel> divisible_models() {
  std::vector<NamedModel> models = tiny_models();
  for (NamedModel& model : models) model.config = divisible(model.config);
  return models;
}

}  // namespace nexus::testing
