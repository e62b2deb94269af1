#include "train/train_state.h"

#include "core/error.h"

namespace nexus {
namespace {

using nlohmann::json;

// 2: with norm_scales, 3: with growth_masks, which a nexus that does not know them must not pass over. Others are
// written as 1, as ever.
constexpr int kStateVersion = 3;

int version_of(const TrainState& state) {
  if (!state.growth_masks.empty()) return kStateVersion;
  return state.norm_scales.empty() ? 1 : 2;
}

json to_json(const Generation& generation) {
  json widths = json::object();
  for (const auto& [width, extent] : generation.widths) widths[width] = extent;
  return {{"widths", widths}, {"updates1", generation.updates1}, {"updates2", generation.updates2}};
}

Generation generation_from(const json& document) {
  Generation generation;
  document.at("widths").get_to(generation.widths);
  document.at("updates1").get_to(generation.updates1);
  document.at("updates2").get_to(generation.updates2);
  return generation;
}

json to_json(const NormScale& scale) {
  return {{"gain", scale.gain}, {"growth", scale.growth}, {"share", scale.share}};
}

NormScale norm_scale_from(const json& document) {
  NormScale scale;
  document.at("gain").get_to(scale.gain);
  document.at("growth").get_to(scale.growth);
  document.at("share").get_to(scale.share);
  return scale;
}

json to_json(const StageAccount& account) {
  return {{"stage", account.stage},
          {"tokens", account.tokens},
          {"flops", account.flops},
          {"seconds", account.seconds},
          {"rank_seconds", account.rank_seconds}};
}

StageAccount account_from(const json& document) {
  StageAccount account;
  document.at("stage").get_to(account.stage);
  document.at("tokens").get_to(account.tokens);
  document.at("flops").get_to(account.flops);
  document.at("seconds").get_to(account.seconds);
  document.at("rank_seconds").get_to(account.rank_seconds);
  return account;
}

// Runs `read` and turns every complaint of the JSON library into one about the checkpoint.
template <typename Read>
auto reading(const std::string& where, Read read) {
  try {
    return read();
  } catch (const json::exception& e) {
    throw Error(ErrorKind::kCheckpoint, fmt::format("state cannot be read: {}", e.what()), where,
                "use a checkpoint written by `nexus train` of this version");
  } catch (const Error& e) {  // of a model that this version does not know
    if (e.kind() != ErrorKind::kConfig) throw;
    throw Error(ErrorKind::kCheckpoint, e.fact(), where, "use a checkpoint written by this version");
  }
}

}  // namespace

int64_t TrainState::total_tokens() const {
  int64_t total = inherited_tokens;
  for (const StageAccount& account : stages) total += account.tokens;
  return total;
}

double TrainState::total_flops() const {
  double total = inherited_flops;
  for (const StageAccount& account : stages) total += account.flops;
  return total;
}

void require_open_masks(const TrainState& state, const std::string& where) {
  if (state.growth_masks.empty()) return;
  const auto& [width, mask] = *state.growth_masks.begin();
  throw Error(
      ErrorKind::kConfig,
      fmt::format("the mask on the channels of {} from {} on is not open yet: m = {:.3g}", width, mask.begin, mask.m),
      where, "train the stage that grew for the length of its grow.mask first");
}

json to_json(const ModelConfig& config) {
  json document{{"arch", config.arch},
                {"D", config.d},
                {"L", config.layers},
                {"H", config.heads},
                {"kv_heads", config.kv_heads},
                {"gelu", config.gelu == GeluKind::kErf ? "erf" : "tanh"},
                {"rope_theta", config.rope_theta},
                {"rotary_share", config.rotary_share}};
  for (const auto& [key, value] : config.counts) document[key] = value;
  for (const auto& [key, value] : config.words) {
    const ModelKey* own = config.find_key(key);
    if (own != nullptr && goes_without_saying(config, *own)) continue;
    document[key] = own != nullptr && own->is_flag() ? json(value == "true") : json(value);
  }
  if (config.workload != kDefaultWorkload) document["workload"] = config.workload;
  return document;
}

ModelConfig model_config_from_json(const json& document, const std::string& where) {
  return reading(where, [&] {
    ModelConfig config;
    document.at("arch").get_to(config.arch);
    config.workload = document.value("workload", kDefaultWorkload);
    document.at("D").get_to(config.d);
    document.at("L").get_to(config.layers);
    document.at("H").get_to(config.heads);
    document.at("kv_heads").get_to(config.kv_heads);
    const auto gelu = document.at("gelu").get<std::string>();
    if (gelu != "erf" && gelu != "tanh") throw Error(ErrorKind::kConfig, "unknown gelu '" + gelu + "'", where, "");
    config.gelu = gelu == "erf" ? GeluKind::kErf : GeluKind::kTanh;
    document.at("rope_theta").get_to(config.rope_theta);
    document.at("rotary_share").get_to(config.rotary_share);
    for (const ModelKey* key : config.keys()) {
      if (!has_key(config, *key) || (key->late && !document.contains(key->name))) continue;
      const json& value = document.at(key->name);
      if (key->is_flag())
        config.words[key->name] = value.get<bool>() ? "true" : "false";
      else if (key->is_word())
        value.get_to(config.words[key->name]);
      else
        value.get_to(config.counts[key->name]);
    }
    config.validate();
    return config;
  });
}

json to_json(const TrainState& state) {
  json document{{"version", version_of(state)},
                {"stage", state.stage()},
                {"stage_index", state.stage_index},
                {"step", state.step},
                {"samples", state.samples},
                {"seed", state.seed},
                {"data_digest", state.data_digest},
                {"data", to_json(state.data)},
                {"eval_pending", state.eval_pending},
                {"tokens", state.total_tokens()},
                {"flops", state.total_flops()},
                {"flops_def", state.flops_def},
                {"model", to_json(state.model)},
                {"inherited_tokens", state.inherited_tokens},
                {"inherited_flops", state.inherited_flops},
                {"stage_numerics", state.stage_numerics}};
  for (const auto& [width, scale] : state.norm_scales) document["norm_scales"][width] = to_json(scale);
  for (const auto& [width, mask] : state.growth_masks)
    document["growth_masks"][width] = {{"begin", mask.begin}, {"m", mask.m}};
  for (const Generation& generation : state.generations) document["generations"].push_back(to_json(generation));
  for (const StageAccount& account : state.stages) document["stages"].push_back(to_json(account));
  return document;
}

TrainState train_state_from_json(const json& document, const std::string& where) {
  return reading(where, [&] {
    if (const int version = document.at("version").get<int>(); version < 1 || version > kStateVersion)
      throw Error(ErrorKind::kCheckpoint,
                  fmt::format("state of version {}, this build reads {}", version, kStateVersion), where,
                  "use the nexus release that wrote it");
    TrainState state;
    document.at("stage_index").get_to(state.stage_index);
    document.at("step").get_to(state.step);
    document.at("samples").get_to(state.samples);
    document.at("seed").get_to(state.seed);
    document.at("data_digest").get_to(state.data_digest);
    if (document.contains("data")) state.data = data_identity_from_json(document.at("data"));  // not in older ones
    document.at("eval_pending").get_to(state.eval_pending);
    state.model = model_config_from_json(document.at("model"), where);
    document.at("inherited_tokens").get_to(state.inherited_tokens);
    document.at("inherited_flops").get_to(state.inherited_flops);
    state.flops_def = document.value("flops_def", "");
    document.at("stage_numerics").get_to(state.stage_numerics);
    if (document.contains("norm_scales"))
      for (const auto& [width, scale] : document.at("norm_scales").items())
        state.norm_scales[width] = norm_scale_from(scale);
    if (document.contains("growth_masks"))
      for (const auto& [width, mask] : document.at("growth_masks").items())
        state.growth_masks[width] = {mask.at("begin").get<int64_t>(), mask.at("m").get<double>()};
    for (const json& generation : document.at("generations")) state.generations.push_back(generation_from(generation));
    for (const json& account : document.at("stages")) state.stages.push_back(account_from(account));
    if (state.stages.empty() || state.generations.empty() || state.stage_index < 0 || state.step < 0 ||
        state.samples < 0)
      throw Error(ErrorKind::kCheckpoint, "state has impossible counters", where, "use another checkpoint");
    return state;
  });
}

}  // namespace nexus
