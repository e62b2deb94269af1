#include "model/model_config.h"

#include <algorithm>
#include <cmath>

#include "model/architecture.h"
#include "model/workload.h"

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
  for (const ModelKey* key : c.keys()) {
    if (!has_key(c, *key)) continue;
    if (key->is_word())
      own.words[key->name] = c.word(key->name);
    else
      own.counts[key->name] = c.count(key->name);
  }
  c = std::move(own);
}

void check_own(const ModelConfig& c) {
  for (const auto& [key, value] : c.counts) require_width(key, value);
  for (const auto& [name, word] : c.words) {
    const std::vector<std::string>& choices = c.find_key(name)->choices;
    if (std::find(choices.begin(), choices.end(), word) == choices.end())
      refuse(name, fmt::format("is '{}'", word), fmt::format("use {}", fmt::join(choices, " or ")));
  }
}

// " NAME VALUE" of each that the model has, words only or counts only where told.
enum class Shown { kAll, kCounts, kWords };
std::string own_text(const ModelConfig& c, const std::vector<ModelKey>& keys, Shown shown) {
  std::string text;
  for (const ModelKey& key : keys) {
    if (!has_key(c, key) || goes_without_saying(c, key) ||
        (shown != Shown::kAll && key.is_word() != (shown == Shown::kWords)))
      continue;
    text += fmt::format(" {} {}", key.name, key.is_word() ? c.word(key.name) : fmt::format("{}", c.count(key.name)));
  }
  return text;
}

}  // namespace

bool has_key(const ModelConfig& config, const ModelKey& key) {
  return key.only_with.word.empty() || config.word(key.only_with.word) == key.only_with.value;
}

bool goes_without_saying(const ModelConfig& config, const ModelKey& key) {
  return key.late && key.is_word() && config.word(key.name) == key.preset;
}

const std::vector<ModelKey>& common_keys() {
  static const std::vector<ModelKey> keys = {
      {.name = "init",
       .comment = "deviations at birth: published (0.02), or fan_in (1/sqrt(inputs), ends of branches / sqrt(2 L))",
       .preset = "published",
       .choices = {"published", "fan_in"},
       .late = true},
      {.name = "qk_norm",
       .comment = "norm of the heads of q and k before they rotate: none or rms",
       .preset = "none",
       .choices = {"none", "rms"},
       .late = true}};
  return keys;
}

std::vector<const ModelKey*> ModelConfig::keys() const {
  std::vector<const ModelKey*> all;
  for (const ModelKey& key : common_keys()) all.push_back(&key);
  for (const ModelKey& key : architecture(arch).keys()) all.push_back(&key);
  for (const ModelKey& key : nexus::workload(workload).keys()) all.push_back(&key);
  return all;
}

const ModelKey* ModelConfig::find_key(const std::string& name) const {
  for (const ModelKey* key : keys())
    if (key->name == name) return key;
  return nullptr;
}

int64_t ModelConfig::count(const std::string& name) const {
  const ModelKey* key = find_key(name);
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
  const ModelKey* key = find_key(name);
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
  check_heads(*this);
  kv_heads = kv();
  fill_own(*this);
  check_own(*this);
}

void ModelConfig::check_tensor_parallel(int tp) const {
  std::vector<std::pair<std::string, int64_t>> cut = {{"H", heads}, {"kv_heads", kv()}};
  for (const ModelKey* key : keys())
    if (key->cut && has_key(*this, *key)) cut.emplace_back(key->name, count(key->name));
  for (const auto& [key, value] : cut) {
    if (value % tp == 0) continue;
    const int64_t below = value / tp * tp;
    refuse(key, fmt::format("= {} does not divide by parallel.tp = {}", value, tp),
           fmt::format("use {}{}, or another parallel.tp", below > 0 ? fmt::format("{} or ", below) : "", below + tp));
  }
  for (const ModelKey* key : keys())
    if (key->cut_unevenly && has_key(*this, *key) && count(key->name) < tp)
      refuse(key->name, fmt::format("= {} is less than parallel.tp = {}", count(key->name), tp),
             "use a smaller parallel.tp");
}

// A workload's counts stand among the shape, its words among the details.
std::string describe(const ModelConfig& c) {
  const std::vector<ModelKey>& of_workload = workload(c.workload).keys();
  return fmt::format("arch {}{} D {} L {} H {} kv_heads {}{}{} gelu {}{} rope_theta {} rotary_share {}{}", c.arch,
                     c.workload == kDefaultWorkload ? "" : " workload " + c.workload, c.d, c.layers, c.heads, c.kv(),
                     own_text(c, of_workload, Shown::kCounts), own_text(c, architecture(c.arch).keys(), Shown::kAll),
                     c.gelu == GeluKind::kErf ? "erf" : "tanh", own_text(c, of_workload, Shown::kWords), c.rope_theta,
                     c.rotary_share, own_text(c, common_keys(), Shown::kAll));
}

}  // namespace nexus
