#include "config/schema_rows.h"

namespace nexus {
namespace {

constexpr int64_t kMaxLayers = 4096;

using Rows = Table<CampaignSpec>;

template <typename Member>
auto model(Member ModelConfig::*member) {
  return at(&CampaignSpec::model, member);
}

std::string nexusformer_only(const CampaignSpec&, const ModelConfig& m) {
  return m.arch == Arch::kNexusformer ? "" : "belongs to arch nexusformer";
}
std::string tokenformer_only(const CampaignSpec&, const ModelConfig& m) {
  return m.arch == Arch::kTokenformer ? "" : "belongs to arch tokenformer";
}
std::string not_tokenformer(const CampaignSpec&, const ModelConfig& m) {
  return m.arch == Arch::kTokenformer ? "belongs to arch nexusformer and transformer" : "";
}
std::string linear_mlp_only(const CampaignSpec&, const ModelConfig& m) {
  const bool linear = m.arch == Arch::kTransformer || (m.arch == Arch::kNexusformer && m.variant == Variant::kQkv);
  return linear ? "" : "belongs to arch transformer and to variant qkv of nexusformer";
}

// A width that every model has.
void add_shape(Rows& t) {
  const CountType width{1, kMaxWidth};
  add(t, "model.D", "768", width, model(&ModelConfig::d), kFixed, "width of the residual stream");
  add(t, "model.L", "12", CountType{1, kMaxLayers}, model(&ModelConfig::layers), kFixed, "blocks");
  add(t, "model.H", "12", width, model(&ModelConfig::heads), kFixed, "attention heads; divides D");
  add(t, "model.kv_heads", "null", CountType{1, kMaxWidth, "null"}, model(&ModelConfig::kv_heads), kFixed,
      "heads of keys and values; divides H; null: as H");
  add(t, "model.V", "32000", width, model(&ModelConfig::vocab), kFixed, "vocabulary; must cover the tokenizer's");
}

void add_nexus_widths(Rows& t) {
  const CountType width{1, kMaxWidth};
  add(t, "model.M", "1024", width, model(&ModelConfig::m), kFixed, "first inner width of Nexus-Rank layers; grows")
      .misplaced = nexusformer_only;
  add(t, "model.A", "1152", width, model(&ModelConfig::a), kFixed, "second inner width of Nexus-Rank layers; grows")
      .misplaced = nexusformer_only;
  add(t, "model.F", "2048", width, model(&ModelConfig::f), kFixed, "outer width of the MLP").misplaced =
      not_tokenformer;
}

void add_parameter_tokens(Rows& t) {
  struct Row {
    const char *key, *example, *comment;
    int64_t ModelConfig::*member;
  };
  for (const Row& row :
       {Row{"model.n_qkv", "576", "parameter tokens of q, k and v; grows", &ModelConfig::n_qkv},
        Row{"model.n_proj", "576", "parameter tokens of the output projection; grows", &ModelConfig::n_proj},
        Row{"model.n_ffn", "2304", "parameter tokens of the feed-forward layer; grows", &ModelConfig::n_ffn}}) {
    auto& field = add(t, row.key, "", CountType{1, kMaxWidth}, model(row.member), kFixed, row.comment);
    field.example = row.example;
    field.misplaced = tokenformer_only;
  }
  for (const Row& row :
       {Row{"model.scale_qkv", "", "n_scale of q, k and v; null: n_qkv at birth", &ModelConfig::scale_qkv},
        Row{"model.scale_proj", "", "n_scale of the output projection; null: n_proj at birth",
            &ModelConfig::scale_proj},
        Row{"model.scale_ffn", "", "n_scale of the feed-forward layer; null: n_ffn at birth", &ModelConfig::scale_ffn}})
    add(t, row.key, "null", CountType{1, kMaxWidth, "null"}, model(row.member), kFixed, row.comment).misplaced =
        tokenformer_only;
}

void add_details(Rows& t) {
  const ChoiceType<NormKind> norm{{{"l2", NormKind::kL2}, {"none", NormKind::kNone}}};
  const ChoiceType<GeluKind> gelu{{{"erf", GeluKind::kErf}, {"tanh", GeluKind::kTanh}}};
  const ChoiceType<GateKind> gate{{{"swiglu", GateKind::kSwiGlu}, {"gelu", GateKind::kGelu}}};
  add(t, "model.norm", "l2", norm, model(&ModelConfig::norm), kFixed,
      "l2 or none: norm before GELU in Nexus-Rank layers")
      .misplaced = nexusformer_only;
  add(t, "model.gelu", "erf", gelu, model(&ModelConfig::gelu), kFixed, "exact GELU (erf) or its approximation (tanh)");
  add(t, "model.mlp", "swiglu", gate, model(&ModelConfig::mlp), kFixed, "swiglu or gelu").misplaced = linear_mlp_only;
  add(t, "model.tie", "false", FlagType{}, model(&ModelConfig::tie), kFixed,
      "the head shares the embedding's matrix; tokenformer: true")
      .tokenformer_preset = "true";
  add(t, "model.rope_theta", "10000", RealType{0, 1e12, true}, model(&ModelConfig::rope_theta), kFixed,
      "base of the rotary angles");
  add(t, "model.rotary_share", "1", RealType{0, 1, true}, model(&ModelConfig::rotary_share), kFixed,
      "share of a head that rotates; tokenformer: 0.25")
      .tokenformer_preset = "0.25";
}

}  // namespace

void add_model_rows(Rows& t) {
  // What decides which keys belong comes first: rows are read in this order.
  add(t, "model.arch", "nexusformer", choice_of({Arch::kNexusformer, Arch::kTokenformer, Arch::kTransformer}),
      model(&ModelConfig::arch), kFixed, "nexusformer, tokenformer or transformer");
  add(t, "model.variant", "full", choice_of({Variant::kFull, Variant::kQkv}), model(&ModelConfig::variant), kFixed,
      "Nexus-Rank in q, k, v, o and the MLP (full), or in q, k, v only (qkv)")
      .misplaced = nexusformer_only;
  add_shape(t);
  add_nexus_widths(t);
  add_parameter_tokens(t);
  add_details(t);
}

}  // namespace nexus
