#include "model/model_config.h"

#include <cmath>

namespace nexus {
namespace {

// Larger widths are typing errors; the bound keeps every product of two extents far from overflow.
constexpr int64_t kMaxWidth = 1 << 24;
constexpr int64_t kMaxLayers = 4096;

[[noreturn]] void refuse(const std::string& key, const std::string& rule, const std::string& todo) {
  throw Error(ErrorKind::kConfig, fmt::format("{} {}", key, rule), "model." + key, todo);
}

void require_width(const std::string& key, int64_t value, int64_t max = kMaxWidth) {
  if (value < 1 || value > max)
    refuse(key, fmt::format("is {}, not in 1..{}", value, max), fmt::format("set model.{} to a positive width", key));
}

void check_heads(const ModelConfig& c) {
  if (c.d % c.heads != 0)
    refuse("H", fmt::format("= {} does not divide model.D = {}", c.heads, c.d), "choose H that divides D");
  if (c.kv_heads < 0 || c.kv_heads > c.heads || c.heads % c.kv() != 0)
    refuse("kv_heads", fmt::format("= {} does not divide model.H = {}", c.kv_heads, c.heads),
           "choose kv_heads that divides H, or 0 for as many as heads");
  if (!(c.rotary_share > 0 && c.rotary_share <= 1))
    refuse("rotary_share", fmt::format("= {} is not in (0, 1]", c.rotary_share), "use 1 to rotate the whole head");
  const int64_t rotary = c.rotary_dim();
  if (rotary < 2 || rotary % 2 != 0)
    refuse("H", fmt::format("gives heads of {} of which {} rotate: rotation pairs elements", c.head_dim(), rotary),
           "choose D, H and rotary_share so that an even number rotates");
  if (!(c.rope_theta > 0) || !std::isfinite(c.rope_theta))
    refuse("rope_theta", fmt::format("= {} is not positive", c.rope_theta), "use 10000");
}

void check_tokenformer(ModelConfig& c) {
  require_width("n_qkv", c.n_qkv);
  require_width("n_proj", c.n_proj);
  require_width("n_ffn", c.n_ffn);
  if (c.scale_qkv == 0) c.scale_qkv = c.n_qkv;
  if (c.scale_proj == 0) c.scale_proj = c.n_proj;
  if (c.scale_ffn == 0) c.scale_ffn = c.n_ffn;
  require_width("scale_qkv", c.scale_qkv);
  require_width("scale_proj", c.scale_proj);
  require_width("scale_ffn", c.scale_ffn);
}

}  // namespace

int64_t ModelConfig::width(Width w) const {
  switch (w) {
    case Width::kM: return m;
    case Width::kA: return a;
    case Width::kTokensQkv: return n_qkv;
    case Width::kTokensProj: return n_proj;
    case Width::kTokensFfn: return n_ffn;
    case Width::kFixed: break;
  }
  NX_CHECK(false, "a fixed extent has no width");
  return 0;
}

void ModelConfig::set_width(Width w, int64_t value) {
  switch (w) {
    case Width::kM: m = value; return;
    case Width::kA: a = value; return;
    case Width::kTokensQkv: n_qkv = value; return;
    case Width::kTokensProj: n_proj = value; return;
    case Width::kTokensFfn: n_ffn = value; return;
    case Width::kFixed: break;
  }
  NX_CHECK(false, "a fixed extent cannot change");
}

void ModelConfig::validate() {
  require_width("D", d);
  require_width("L", layers, kMaxLayers);
  require_width("H", heads);
  require_width("V", vocab);
  check_heads(*this);
  kv_heads = kv();
  if (arch == Arch::kTokenformer) {
    check_tokenformer(*this);
    return;
  }
  require_width("F", f);
  if (arch == Arch::kNexusformer) {
    require_width("M", m);
    require_width("A", a);
  }
}

void ModelConfig::check_tensor_parallel(int tp) const {
  const bool nexus = arch == Arch::kNexusformer, tokens = arch == Arch::kTokenformer;
  const struct {
    const char* key;
    int64_t value;
    bool used;
  } cut[] = {
      {"H", heads, true},       {"kv_heads", kv(), true},   {"M", m, nexus},         {"A", a, nexus}, {"F", f, !tokens},
      {"n_qkv", n_qkv, tokens}, {"n_proj", n_proj, tokens}, {"n_ffn", n_ffn, tokens}};
  for (const auto& [key, value, used] : cut) {
    if (!used || value % tp == 0) continue;
    const int64_t below = value / tp * tp;
    refuse(key, fmt::format("= {} does not divide by parallel.tp = {}", value, tp),
           fmt::format("use {}{}, or another parallel.tp", below > 0 ? fmt::format("{} or ", below) : "", below + tp));
  }
  if (vocab < tp)
    refuse("V", fmt::format("= {} is less than parallel.tp = {}", vocab, tp), "use a smaller parallel.tp");
}

std::string name_of(Arch arch) {
  switch (arch) {
    case Arch::kNexusformer: return "nexusformer";
    case Arch::kTokenformer: return "tokenformer";
    case Arch::kTransformer: return "transformer";
  }
  return "?";
}

std::string name_of(Variant variant) {
  return variant == Variant::kFull ? "full" : "qkv";
}

std::string describe(const ModelConfig& c) {
  std::string text = "arch " + name_of(c.arch);
  if (c.arch == Arch::kNexusformer) text += " variant " + name_of(c.variant);
  text += fmt::format(" D {} L {} H {} kv_heads {} V {}", c.d, c.layers, c.heads, c.kv(), c.vocab);
  const bool linear_mlp = c.arch == Arch::kTransformer || (c.arch == Arch::kNexusformer && c.variant == Variant::kQkv);
  if (c.arch == Arch::kNexusformer)
    text += fmt::format(" M {} A {} F {} norm {}", c.m, c.a, c.f, c.norm == NormKind::kL2 ? "l2" : "none");
  if (c.arch == Arch::kTransformer) text += fmt::format(" F {}", c.f);
  if (linear_mlp) text += c.mlp == GateKind::kSwiGlu ? " mlp swiglu" : " mlp gelu";
  if (c.arch == Arch::kTokenformer)
    text += fmt::format(" n_qkv {} n_proj {} n_ffn {} scale_qkv {} scale_proj {} scale_ffn {}", c.n_qkv, c.n_proj,
                        c.n_ffn, c.scale_qkv, c.scale_proj, c.scale_ffn);
  text += c.gelu == GeluKind::kErf ? " gelu erf" : " gelu tanh";
  text += fmt::format(" tie {} rope_theta {} rotary_share {}", c.tie, c.rope_theta, c.rotary_share);
  return text;
}

}  // namespace nexus
