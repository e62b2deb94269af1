// What nexus has to know of an architecture: its own configuration keys, and which projections and norms a block is
// made of. One file of architectures/ each, and one line of architectures.cpp; nothing else in nexus names one.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "layers/matrix.h"
#include "model/block.h"
#include "model/model_config.h"

namespace nexus {

using MadeProjection = std::unique_ptr<Projection>;

class Architecture {
 public:
  virtual ~Architecture() = default;

  virtual std::string name() const = 0;  // model.arch
  // In the order in which they are shown.
  virtual const std::vector<ModelKey>& keys() const = 0;
  // Of keys that every architecture has, where its own differ: "model.tie" -> "true".
  virtual std::map<std::string, std::string> presets() const { return {}; }
  // What a growth adds to its layers ("channels"): the growth policies of this part are for it. Empty: it cannot grow.
  virtual std::string grown_part() const { return ""; }
  // What is unusual in a model that is possible: (key, text).
  virtual std::vector<std::pair<std::string, std::string>> advice(const ModelConfig&) const { return {}; }

  // --- a block's parts, whose parameters are appended to the table under names that begin with `layer` ("layers.3")
  virtual RowNormLayer branch_norm(const ModelConfig& config, const std::string& weight_name, ParamTable& table) const;
  virtual MadeProjection qkv(const ModelConfig& config, const std::string& layer, ParamTable& table) const = 0;
  virtual MadeProjection o(const ModelConfig& config, const std::string& layer, ParamTable& table) const = 0;
  virtual MadeProjection mlp(const ModelConfig& config, const std::string& layer, ParamTable& table) const = 0;
  // Before the head.
  virtual RowNormLayer final_norm(const ModelConfig& config, ParamTable& table) const;

  // The key of that name, or null.
  const ModelKey* find_key(const std::string& name) const;
};

const std::vector<const Architecture*>& all_architectures();
// Throws ErrorKind::kConfig with the nearest name.
const Architecture& architecture(const std::string& name);

// Appends the parameters of block `layer` to the table, in the order of the forward pass.
Block make_block(const ModelConfig& config, int64_t layer, ParamTable& table);
RowNormLayer make_final_norm(const ModelConfig& config, ParamTable& table);

// --- parts that several architectures are made of
MatrixInit matrix_init(const ModelConfig& config);
// Outputs of q, k and v.
std::vector<int64_t> qkv_outs(const ModelConfig& config);
std::vector<std::string> qkv_prefixes(const std::string& layer);
MadeProjection linear_qkv(const ModelConfig& config, const std::string& layer, ParamTable& table);
MadeProjection linear_o(const ModelConfig& config, const std::string& layer, ParamTable& table);
// A gated MLP of width F, by the keys `f_key` and `mlp_key`.
MadeProjection gated_mlp(const ModelConfig& config, const std::string& layer, ParamTable& table);
ModelKey f_key();
ModelKey mlp_key();

}  // namespace nexus
