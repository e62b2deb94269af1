#include "interchange/hf_import.h"

#include <cmath>
#include <set>

#include "checkpoint/strict_json.h"
#include "core/files.h"
#include "core/json_text.h"
#include "interchange/hf_config.h"
#include "interchange/safetensors.h"
#include "model/model.h"

namespace nexus {
namespace {

using nlohmann::json;

constexpr int64_t kMaxConfigBytes = 16 << 20;
constexpr int kMaxConfigDepth = 32;

json read_config(const std::string& path) {
  const std::string text = read_text_file(path, kMaxConfigBytes);
  try {
    return parse_strict_json(text, path, kMaxConfigDepth);
  } catch (const Error& e) {  // the cure of damaged checkpoints is another one
    throw Error(ErrorKind::kCheckpoint, e.fact(), path, "fetch or export the folder again");
  }
}

// The file holds the model's tensors, each in its shape, and no others.
void require_tensors(const SafetensorsReader& file, const Model& model, const std::string& path) {
  std::set<std::string> expected;
  for (const ParamSpec& spec : model.table()) {
    const std::string name = hf_tensor_name(model.config(), spec.name);
    expected.insert(name);
    const auto found = file.tensors().find(name);
    if (found == file.tensors().end())
      throw Error(ErrorKind::kCheckpoint, "there is no tensor " + name, path,
                  "give config.json and weights of one model");
    std::vector<int64_t> shape;
    for (const Axis& axis : spec.axes) shape.push_back(axis.extent);
    if (found->second.shape != shape)
      throw Error(ErrorKind::kCheckpoint,
                  fmt::format("tensor {} is [{}] and, by config.json, [{}]", name, fmt::join(found->second.shape, ", "),
                              fmt::join(shape, ", ")),
                  path, "give config.json and weights of one model");
  }
  for (const auto& [name, tensor] : file.tensors())
    if (!expected.contains(name))
      throw Error(ErrorKind::kCheckpoint, fmt::format("tensor {} has no place in the model", json_text(json(name))),
                  path, "give config.json and weights of one model");
}

std::vector<float> finite_tensor(const SafetensorsReader& file, const std::string& name, const std::string& path) {
  std::vector<float> values = file.read_f32(name);
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      throw Error(ErrorKind::kNumeric, fmt::format("tensor {} is not finite at element {}", name, i), path,
                  "nobody can train on from it: use other weights");
  return values;
}

}  // namespace

HfImported import_hf(const std::string& folder, const std::string& out) {
  const std::string config_path = folder + "/config.json", weights_path = folder + "/model.safetensors";
  if (!path_exists(config_path))
    throw Error(ErrorKind::kConfig, "there is no config.json in this folder", folder, "name a folder of transformers");
  if (!path_exists(weights_path))
    throw Error(ErrorKind::kConfig, "there is no model.safetensors in this folder", folder,
                "save the model in one file of that name (save_pretrained(..., max_shard_size=\"1TB\"))");
  const json config = read_config(config_path);
  const TrainState state = state_from_hf(config, config_path);
  const Model model(state.model);
  const SafetensorsReader file(weights_path);
  require_tensors(file, model, weights_path);

  std::vector<std::vector<float>> values;
  int64_t most = 0;
  for (const ParamSpec& spec : model.table()) {
    values.push_back(finite_tensor(file, hf_tensor_name(state.model, spec.name), weights_path));
    most = std::max(most, spec.count());
  }
  const std::vector<float> no_moments(static_cast<size_t>(most), 0.0f);
  std::vector<TensorSlice> slices;
  for (int i = 0; i < model.table().size(); ++i) {
    const ParamSpec& spec = model.table()[i];
    const auto add = [&](const char* group, const float* host) {
      slices.push_back({group + spec.name, DType::kF32, spec.shape(), whole_box(spec.shape()), host});
    };
    add("master/", values[static_cast<size_t>(i)].data());
    add("moment1/", no_moments.data());
    add("moment2/", no_moments.data());
  }
  json document = to_json(state);
  document["pinned"] = false;
  const RunFolder run{out};
  make_folders(run.checkpoints());
  std::string run_id = "imported";
  if (config.contains("nexus_run") && config["nexus_run"].contains("run_id") &&
      config["nexus_run"]["run_id"].is_string())
    run_id = config["nexus_run"]["run_id"].get<std::string>() + "-imported";
  if (!is_safe_name(run_id)) run_id = "imported";
  const auto alone = make_self_communicator();
  return {save_checkpoint(*alone, run, {run_id, state.stage(), state.step}, slices, document), state.model,
          model.table().count()};
}

}  // namespace nexus
