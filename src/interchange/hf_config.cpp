#include "interchange/hf_config.h"

#include <array>

#include "checkpoint/strict_json.h"
#include "core/error.h"
#include "core/json_text.h"
#include "growth/grow.h"

namespace nexus {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr double kRmsEps = 1e-6;  // of every RMSNorm here (model/architecture.cpp)

// Ours and Llama's, of a layer and of the whole model.
constexpr std::array<std::pair<const char*, const char*>, 9> kLayerNames = {{
    {"attn_norm.weight", "input_layernorm.weight"},
    {"attn.q.weight", "self_attn.q_proj.weight"},
    {"attn.k.weight", "self_attn.k_proj.weight"},
    {"attn.v.weight", "self_attn.v_proj.weight"},
    {"attn.o.weight", "self_attn.o_proj.weight"},
    {"mlp_norm.weight", "post_attention_layernorm.weight"},
    {"mlp.w_gate", "mlp.gate_proj.weight"},
    {"mlp.w_up", "mlp.up_proj.weight"},
    {"mlp.w_down", "mlp.down_proj.weight"},
}};

std::string llama_name(const std::string& name) {
  if (name == "embed.weight") return "model.embed_tokens.weight";
  if (name == "norm.weight") return "model.norm.weight";
  if (name == "head.weight") return "lm_head.weight";
  const size_t after_layer = name.find('.', std::string("layers.").size());
  NX_CHECK(name.starts_with("layers.") && after_layer != std::string::npos, "{}", name);
  const std::string of_layer = name.substr(after_layer + 1);
  for (const auto& [ours, theirs] : kLayerNames)
    if (of_layer == ours) return "model." + name.substr(0, after_layer + 1) + theirs;
  NX_CHECK(false, "no name for {}", name);
  return "";
}

json id_or_null(int32_t id) {
  return id < 0 ? json() : json(id);
}

[[noreturn]] void refuse_field(const std::string& what, const std::string& where) {
  throw Error(
      ErrorKind::kCheckpoint, what, where,
      "import folders of `nexus ckpt export`, or models of LlamaForCausalLM that docs/interchange.md describes");
}

// A field that must be `expected` where it is there.
void require_field(const json& config, const std::string& key, const json& expected, const std::string& where) {
  const auto found = config.find(key);
  if (found != config.end() && *found != expected)
    refuse_field(fmt::format("{} is {}, and nexus computes {}", key, json_text(*found), json_text(expected)), where);
}

double rope_theta_of(const json& config, const std::string& where) {
  json parameters = json::object();
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.contains(key) || config[key].is_null()) continue;
    if (!config[key].is_object()) refuse_field(fmt::format("{} is no object", key), where);
    require_field(config[key], "rope_type", "default", where);
    require_field(config[key], "type", "default", where);
    require_field(config[key], "partial_rotary_factor", 1.0, where);
    parameters.update(config[key]);
  }
  json theta = 10000.0;  // Llama's default
  if (config.contains("rope_theta")) theta = config["rope_theta"];
  if (parameters.contains("rope_theta")) theta = parameters["rope_theta"];
  if (!theta.is_number()) refuse_field("rope_theta is no number", where);
  return theta.get<double>();
}

// `model` of a state.json, of a Llama's configuration.
json model_of_llama(const json& config, const std::string& where) {
  const auto count = [&](const char* key, int64_t most) {
    if (!config.contains(key)) refuse_field(fmt::format("{} is missing", key), where);
    return strict_integer(config[key], 1, most, key, where);
  };
  const int64_t width = count("hidden_size", kMaxWidth), heads = count("num_attention_heads", kMaxWidth);
  const bool grouped = config.contains("num_key_value_heads") && !config["num_key_value_heads"].is_null();
  require_field(config, "hidden_act", "silu", where);
  require_field(config, "attention_bias", false, where);
  require_field(config, "mlp_bias", false, where);
  require_field(config, "pretraining_tp", 1, where);
  require_field(config, "partial_rotary_factor", 1.0, where);
  if (!config.contains("rms_norm_eps")) refuse_field("rms_norm_eps is missing", where);
  require_field(config, "rms_norm_eps", kRmsEps, where);
  if (config.contains("head_dim") && !config["head_dim"].is_null())
    require_field(config, "head_dim", width / heads, where);
  const bool tie = config.contains("tie_word_embeddings") && config["tie_word_embeddings"] == true;
  return {{"arch", "transformer"},
          {"D", width},
          {"L", count("num_hidden_layers", kMaxLayers)},
          {"H", heads},
          {"kv_heads", grouped ? count("num_key_value_heads", kMaxWidth) : heads},
          {"V", count("vocab_size", kMaxWidth)},
          {"F", count("intermediate_size", kMaxWidth)},
          {"mlp", "swiglu"},
          {"gelu", "erf"},
          {"tie", tie},
          {"rope_theta", rope_theta_of(config, where)},
          {"rotary_share", 1.0}};
}

// What an import takes over of the run that a folder was exported from.
json account_of(const TrainState& state, const std::string& run_id) {
  return {{"run_id", run_id},
          {"stage", state.stage()},
          {"step", state.step},
          {"samples", state.samples},
          {"seed", state.seed},
          {"tokens", state.total_tokens()},
          {"flops", state.total_flops()},
          {"flops_def", state.flops_def},
          {"tokenizer", state.data.tokenizer}};
}

void take_account(const json& account, TrainState& state) {
  account.at("samples").get_to(state.samples);
  account.at("seed").get_to(state.seed);
  account.at("tokens").get_to(state.inherited_tokens);
  account.at("flops").get_to(state.inherited_flops);
  account.at("flops_def").get_to(state.flops_def);
  account.at("tokenizer").get_to(state.data.tokenizer);
}

}  // namespace

bool is_llama(const ModelConfig& config) {
  return config.arch == "transformer" && config.word("mlp") == "swiglu" && config.word("qk_norm") == "none" &&
         config.rotary_dim() == config.head_dim();
}

std::string hf_tensor_name(const ModelConfig& config, const std::string& name) {
  return is_llama(config) ? llama_name(name) : name;
}

ordered_json hf_config(const TrainState& state, const StateOrigin& origin, const std::string& dtype,
                       const std::optional<SpecialIds>& ids) {
  const ModelConfig& model = state.model;
  ordered_json config;
  if (is_llama(model)) {
    config = {{"architectures", {"LlamaForCausalLM"}},
              {"model_type", "llama"},
              {"intermediate_size", model.count("F")},
              {"hidden_act", "silu"},
              {"rms_norm_eps", kRmsEps},
              {"rope_theta", model.rope_theta},  // before transformers 5
              {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", model.rope_theta}}},
              {"attention_bias", false},
              {"mlp_bias", false}};
  } else {
    config = {
        {"architectures", {"NexusForCausalLM"}},
        {"model_type", "nexus"},
        {"auto_map",
         {{"AutoConfig", "modeling_nexus.NexusConfig"}, {"AutoModelForCausalLM", "modeling_nexus.NexusForCausalLM"}}},
        {"nexus", to_json(model)}};
    const json document = to_json(state);
    if (document.contains("norm_scales")) config["norm_scales"] = document["norm_scales"];
  }
  config["vocab_size"] = model.count("V");
  config["hidden_size"] = model.d;
  config["num_hidden_layers"] = model.layers;
  config["num_attention_heads"] = model.heads;
  config["num_key_value_heads"] = model.kv();
  config["head_dim"] = model.head_dim();
  config["tie_word_embeddings"] = model.flag("tie");
  if (origin.context > 0) config["max_position_embeddings"] = origin.context;
  config["torch_dtype"] = dtype;
  config["bos_token_id"] = ids ? id_or_null(ids->bos) : json();
  config["eos_token_id"] = ids ? id_or_null(ids->eos) : json();
  config["nexus_run"] = account_of(state, origin.run_id);
  return config;
}

TrainState state_from_hf(const json& config, const std::string& where) {
  if (!config.is_object() || !config.contains("model_type")) refuse_field("model_type is missing", where);
  const json& type = config["model_type"];
  if (type != "nexus" && type != "llama")
    refuse_field(fmt::format("model_type is {}, not \"nexus\" or \"llama\"", json_text(type)), where);
  if (type == "nexus" && !config.contains("nexus")) refuse_field("nexus is missing", where);
  TrainState state;
  state.model = model_config_from_json(type == "nexus" ? config["nexus"] : model_of_llama(config, where), where);
  state.generations = {first_generation(state.model)};
  state.stages = {{"imported"}};
  state.stage_numerics = {{}};
  try {
    if (config.contains("nexus_run")) take_account(config["nexus_run"], state);
  } catch (const json::exception& e) {
    refuse_field(fmt::format("nexus_run cannot be read: {}", e.what()), where);
  }
  json document = to_json(state);
  if (type == "nexus" && config.contains("norm_scales") && !config["norm_scales"].empty())
    document["norm_scales"] = config["norm_scales"];
  state = train_state_from_json(document, where);
  for (const auto& [width, scale] : state.norm_scales)
    if (!(scale.squared() > 0)) refuse_field(fmt::format("norm_scales.{} is not positive", width), where);
  return state;
}

}  // namespace nexus
