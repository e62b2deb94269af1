// Shared by the tests of config: a small valid campaign, and refusals as text.
#pragma once

#include <string>

#include "config/config.h"
#include "core/error.h"

namespace nexus::testing {

// Lines are counted by the tests: model is line 2, batch 3, the stages 5 and 6.
inline const std::string kCampaign =
    "name: small\n"
    "model: {arch: nexusformer, D: 64, L: 2, H: 4, M: 96, A: 128, F: 128, V: 512}\n"
    "batch: {global_tokens: 8Ki, micro: 4}\n"
    "data: {train: [{path: tok/train}], valid: tok/valid, context: 128}\n"
    "stages: [{name: s0, tokens: 1M, lr: {peak: 1e-3}},\n"
    "         {name: s1, tokens: 2M, lr: {peak: 1e-3}, grow: {M: 112}}]\n";

// `text` with the first `from` replaced; NX_CHECKs that it is there, so that no test passes for want of it.
inline std::string with(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  NX_CHECK(at != std::string::npos, "'{}' is not in the text", from);
  return text.replace(at, from.size(), to);
}

// The message of the kConfig error that `load` throws; "accepted" if it throws nothing.
template <typename Load>
std::string refusal(Load load) {
  try {
    load();
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kConfig ? error.what() : std::string("not kConfig: ") + error.what();
  }
  return "accepted";
}

inline std::string refusal_of(const std::string& text) {
  return refusal([&] { load_campaign_text(text, "c.yaml"); });
}

// The canonical value of a key; "absent" if the resolved configuration has none.
inline std::string value_of(const LoadedCampaign& campaign, const std::string& key) {
  for (const Setting& setting : campaign.settings)
    if (setting.key == key) return setting.value;
  return "absent";
}
inline std::string source_of(const LoadedCampaign& campaign, const std::string& key) {
  for (const Setting& setting : campaign.settings)
    if (setting.key == key) return setting.source;
  return "absent";
}

}  // namespace nexus::testing
