// Nexusformer (arXiv 2604.19147, section 3): three-stage Nexus-Rank layers in place of linear projections, which grow
// along M and A. Variant full has them in q, k, v, o and the MLP (the published code), qkv in q, k and v only (the
// abstract).
#include "layers/nexus_rank.h"
#include "model/architecture.h"

namespace nexus {
namespace {

const Width kM = "M", kA = "A";

NexusRankOptions options_of(const ModelConfig& c, Place place, std::vector<int64_t> outs) {
  const NormKind norm = c.word("norm") == "l2" ? NormKind::kL2 : NormKind::kNone;
  return {c.d, c.width(kM), kM, c.width(kA), kA, std::move(outs), norm, c.gelu, place, matrix_init(c)};
}

class Nexusformer final : public Architecture {
 public:
  std::string name() const override { return "nexusformer"; }

  const std::vector<ModelKey>& keys() const override {
    static const std::vector<ModelKey> keys = [] {
      ModelKey mlp = mlp_key();
      mlp.only_with = {"variant", "qkv"};
      return std::vector<ModelKey>{{.name = "variant",
                                    .comment = "Nexus-Rank in q, k, v, o and the MLP (full), or in q, k, v only (qkv)",
                                    .preset = "full",
                                    .choices = {"full", "qkv"}},
                                   {.name = kM,
                                    .comment = "first inner width of Nexus-Rank layers; grows",
                                    .preset = "1024",
                                    .cut = true,
                                    .growth = {"new width M", "1664"}},
                                   {.name = kA,
                                    .comment = "second inner width of Nexus-Rank layers; grows",
                                    .preset = "1152",
                                    .cut = true,
                                    .growth = {"new width A", "2176"}},
                                   f_key(),
                                   {.name = "norm",
                                    .comment = "l2 or none: norm before GELU in Nexus-Rank layers",
                                    .preset = "l2",
                                    .choices = {"l2", "none"}},
                                   mlp};
    }();
    return keys;
  }

  std::string grown_part() const override { return "channels"; }

  std::vector<std::pair<std::string, std::string>> advice(const ModelConfig& c) const override {
    std::vector<std::pair<std::string, std::string>> advice;
    const int64_t m = c.width(kM), a = c.width(kA);
    if (m <= c.d) advice.emplace_back(kM, fmt::format("M = {} is not larger than D = {}: as a rule D < M < A", m, c.d));
    if (a <= m) advice.emplace_back(kA, fmt::format("A = {} is not larger than M = {}: as a rule D < M < A", a, m));
    return advice;
  }

  MadeProjection qkv(const ModelConfig& c, const std::string& layer, ParamTable& table) const override {
    return std::make_unique<NexusRank>(table, qkv_prefixes(layer), options_of(c, Place::kQkv, qkv_outs(c)));
  }

  MadeProjection o(const ModelConfig& c, const std::string& layer, ParamTable& table) const override {
    if (c.word("variant") == "qkv") return linear_o(c, layer, table);
    return std::make_unique<NexusRank>(table, std::vector<std::string>{layer + ".attn.o"},
                                       options_of(c, Place::kO, {c.d}));
  }

  MadeProjection mlp(const ModelConfig& c, const std::string& layer, ParamTable& table) const override {
    if (c.word("variant") == "qkv") return gated_mlp(c, layer, table);
    // The published block's MLP: middle width M, outer width F, which never grows.
    NexusRankOptions options = options_of(c, Place::kMlp, {c.d});
    options.a = c.count("F");
    options.a_width = kFixedWidth;
    return std::make_unique<NexusRank>(table, std::vector<std::string>{layer + ".mlp"}, options);
  }
};

}  // namespace

const Architecture& nexusformer() {
  static const Nexusformer instance;
  return instance;
}

}  // namespace nexus
