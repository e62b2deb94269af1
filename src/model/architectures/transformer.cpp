// The transformer with linear projections (Vaswani et al. 2017; norms, gate and rotation as in Llama): the yardstick.
// It does not grow.
#include "model/architecture.h"

namespace nexus {
namespace {

class Transformer final : public Architecture {
 public:
  std::string name() const override { return "transformer"; }

  const std::vector<ModelKey>& keys() const override {
    static const std::vector<ModelKey> keys = {f_key(), mlp_key()};
    return keys;
  }

  MadeProjection qkv(const ModelConfig& c, const std::string& layer, ParamTable& table) const override {
    return linear_qkv(c, layer, table);
  }
  MadeProjection o(const ModelConfig& c, const std::string& layer, ParamTable& table) const override {
    return linear_o(c, layer, table);
  }
  MadeProjection mlp(const ModelConfig& c, const std::string& layer, ParamTable& table) const override {
    return gated_mlp(c, layer, table);
  }
};

}  // namespace

const Architecture& transformer() {
  static const Transformer instance;
  return instance;
}

}  // namespace nexus
