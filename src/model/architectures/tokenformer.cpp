// Tokenformer (Wang et al. 2024, arXiv 2410.23168): attention to parameter tokens in place of linear projections, which
// grows by more tokens.
#include <cmath>

#include "layers/pattention.h"
#include "model/architecture.h"

namespace nexus {
namespace {

constexpr RowNorm kLayerNorm{RowNormKind::kLayer, 1e-5};  // the epsilon of the released code

PattentionOptions options_of(const ModelConfig& c, Place place, const std::string& kind, std::vector<int64_t> outs) {
  const MatrixInit init = matrix_init(c);
  const Width tokens = "n_" + kind;
  const int64_t n = c.width(tokens);
  // Keys read x; values read n activations. The released code has a rule of its own for values.
  const double released = 2.0 / static_cast<double>(c.layers) / std::sqrt(static_cast<double>(c.d));
  const double fan_in = place == Place::kQkv ? init.std(n) : init.branch_end_std(n);
  const double value_std = init.fan_in ? fan_in : released;
  return {c.d, n, tokens, c.count("scale_" + kind), std::move(outs), c.gelu, init.std(c.d), value_std, place};
}

ModelKey tokens_key(const std::string& kind, const std::string& of, const std::string& example,
                    const std::string& grown) {
  return {.name = "n_" + kind,
          .comment = "parameter tokens of " + of + "; grows",
          .example = example,
          .cut = true,
          .growth = {"new number of tokens of " + of, grown}};
}

ModelKey scale_key(const std::string& kind, const std::string& of) {
  return {.name = "scale_" + kind,
          .comment = "n_scale of " + of + "; null: n_" + kind + " at birth",
          .at_birth = "n_" + kind};
}

class Tokenformer final : public Architecture {
 public:
  std::string name() const override { return "tokenformer"; }

  const std::vector<ModelKey>& keys() const override {
    static const std::string qkv = "q, k and v", o = "the output projection", mlp = "the feed-forward layer";
    static const std::vector<ModelKey> keys = {tokens_key("qkv", qkv, "576", "1152"),
                                               tokens_key("proj", o, "576", "1152"),
                                               tokens_key("ffn", mlp, "2304", "4608"),
                                               scale_key("qkv", qkv),
                                               scale_key("proj", o),
                                               scale_key("ffn", mlp)};
    return keys;
  }

  std::map<std::string, std::string> presets() const override {
    return {{"model.tie", "true"}, {"model.rotary_share", "0.25"}};
  }

  std::string grown_part() const override { return "parameter tokens"; }

  // Norms inside blocks have no weight.
  RowNormLayer branch_norm(const ModelConfig& c, const std::string&, ParamTable& table) const override {
    return RowNormLayer(table, "", c.d, kLayerNorm);
  }
  RowNormLayer final_norm(const ModelConfig& c, ParamTable& table) const override {
    return RowNormLayer(table, "norm.weight", c.d, kLayerNorm);
  }

  MadeProjection qkv(const ModelConfig& c, const std::string& layer, ParamTable& table) const override {
    return std::make_unique<Pattention>(table, qkv_prefixes(layer), options_of(c, Place::kQkv, "qkv", qkv_outs(c)));
  }
  MadeProjection o(const ModelConfig& c, const std::string& layer, ParamTable& table) const override {
    return std::make_unique<Pattention>(table, std::vector<std::string>{layer + ".attn.o"},
                                        options_of(c, Place::kO, "proj", {c.d}));
  }
  MadeProjection mlp(const ModelConfig& c, const std::string& layer, ParamTable& table) const override {
    return std::make_unique<Pattention>(table, std::vector<std::string>{layer + ".mlp"},
                                        options_of(c, Place::kMlp, "ffn", {c.d}));
  }
};

}  // namespace

const Architecture& tokenformer() {
  static const Tokenformer instance;
  return instance;
}

}  // namespace nexus
