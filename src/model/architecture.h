// What nexus has to know of an architecture: its own configuration keys, and which projections and norms a block is
// made of. One file of architectures/ each, and one line of architectures.cpp; nothing else in nexus names one.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/block.h"
#include "model/model_config.h"

namespace nexus {

// A key that only some architectures have: model.NAME of a campaign file, NAME of the model in a checkpoint's state,
// and grow.NAME if it grows. A count, or a word among `choices`.
struct ModelKey {
  struct Owner {
    std::string word{}, value{};
  };
  struct Growth {
    std::string comment{}, example{};  // of grow.NAME
  };

  std::string name{};
  std::string comment{};
  std::string preset{};                // where it is not given; empty: it must be
  std::string example{};               // what to write, where there is no preset
  std::vector<std::string> choices{};  // of a word; none: a positive count
  std::string at_birth{};  // a count that stays what this other key was when the model was made, unless it is given
  Owner only_with{};       // only models in which this word has this value have the key
  bool cut = false;        // tensor-parallel ranks have a part each: it must divide by their number
  Growth growth{};         // without a comment the key does not grow

  bool is_word() const { return !choices.empty(); }
  bool grows() const { return !growth.comment.empty(); }
};

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
// Whether a model of this configuration, whose architecture has the key, has it.
bool has_key(const ModelConfig& config, const ModelKey& key);

// Appends the parameters of block `layer` to the table, in the order of the forward pass.
Block make_block(const ModelConfig& config, int64_t layer, ParamTable& table);
RowNormLayer make_final_norm(const ModelConfig& config, ParamTable& table);

// --- parts that several architectures are made of
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
