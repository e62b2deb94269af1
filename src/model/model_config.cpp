#include "model/model_config.h"

#include <algorithm>
#include <cmath>

#include "model/architecture.h"

namespace nexus {
namespace {

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

// The own keys that this model has, with their presets filled in; others go.
void fill_own(ModelConfig& c) {
  ModelConfig own = c;
  own.counts.clear();
  own.words.clear();
  for (const ModelKey& key : architecture(c.arch).keys()) {
    if (!has_key(c, key)) continue;
    if (key.is_word())
      own.words[key.name] = c.word(key.name);
    else
      own.counts[key.name] = c.count(key.name);
  }
  c = std::move(own);
}

void check_own(const ModelConfig& c) {
  for (const auto& [key, value] : c.counts) require_width(key, value);
  for (const auto& [name, word] : c.words) {
    const std::vector<std::string>& choices = architecture(c.arch).find_key(name)->choices;
    if (std::find(choices.begin(), choices.end(), word) == choices.end())
      refuse(name, fmt::format("is '{}'", word), fmt::format("use {}", fmt::join(choices, " or ")));
  }
}

}  // namespace

int64_t ModelConfig::count(const std::string& name) const {
  const ModelKey* key = architecture(arch).find_key(name);
  const bool by_birth = key != nullptr && !key->at_birth.empty();
  if (const auto found = counts.find(name); found != counts.end() && !(by_birth && found->second == 0))
    return found->second;
  if (key == nullptr) return 0;
  if (by_birth) return count(key->at_birth);
  return key->preset.empty() ? 0 : std::stoll(key->preset);
}

std::string ModelConfig::word(const std::string& name) const {
  const auto found = words.find(name);
  if (found != words.end()) return found->second;
  const ModelKey* key = architecture(arch).find_key(name);
  return key == nullptr ? "" : key->preset;
}

int64_t ModelConfig::width(const Width& w) const {
  NX_CHECK(w != kFixedWidth, "a fixed extent has no width");
  return count(w);
}

void ModelConfig::set_width(const Width& w, int64_t value) {
  NX_CHECK(w != kFixedWidth, "a fixed extent cannot change");
  counts[w] = value;
}

std::vector<Width> ModelConfig::growable_widths() const {
  std::vector<Width> widths;
  for (const ModelKey& key : architecture(arch).keys())
    if (key.grows()) widths.push_back(key.name);
  return widths;
}

void ModelConfig::validate() {
  require_width("D", d);
  require_width("L", layers, kMaxLayers);
  require_width("H", heads);
  require_width("V", vocab);
  check_heads(*this);
  kv_heads = kv();
  fill_own(*this);
  check_own(*this);
}

void ModelConfig::check_tensor_parallel(int tp) const {
  std::vector<std::pair<std::string, int64_t>> cut = {{"H", heads}, {"kv_heads", kv()}};
  for (const ModelKey& key : architecture(arch).keys())
    if (key.cut && has_key(*this, key)) cut.emplace_back(key.name, count(key.name));
  for (const auto& [key, value] : cut) {
    if (value % tp == 0) continue;
    const int64_t below = value / tp * tp;
    refuse(key, fmt::format("= {} does not divide by parallel.tp = {}", value, tp),
           fmt::format("use {}{}, or another parallel.tp", below > 0 ? fmt::format("{} or ", below) : "", below + tp));
  }
  if (vocab < tp)
    refuse("V", fmt::format("= {} is less than parallel.tp = {}", vocab, tp), "use a smaller parallel.tp");
}

std::string describe(const ModelConfig& c) {
  std::string text =
      fmt::format("arch {} D {} L {} H {} kv_heads {} V {}", c.arch, c.d, c.layers, c.heads, c.kv(), c.vocab);
  for (const ModelKey& key : architecture(c.arch).keys()) {
    if (!has_key(c, key)) continue;
    text += fmt::format(" {} {}", key.name, key.is_word() ? c.word(key.name) : fmt::format("{}", c.count(key.name)));
  }
  text += c.gelu == GeluKind::kErf ? " gelu erf" : " gelu tanh";
  text += fmt::format(" tie {} rope_theta {} rotary_share {}", c.tie, c.rope_theta, c.rotary_share);
  return text;
}

}  // namespace nexus
