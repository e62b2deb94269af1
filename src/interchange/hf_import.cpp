#include "interchange/hf_import.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "checkpoint/strict_json.h"
#include "core/files.h"
#include "core/json_text.h"
#include "core/log.h"
#include "interchange/hf_config.h"
#include "interchange/safetensors.h"
#include "model/model.h"
#include "workloads/text/tokenizer.h"

namespace nexus {
namespace {

using nlohmann::json;

constexpr int64_t kMaxJsonBytes = 64 << 20;
constexpr int kMaxJsonDepth = 32;

json read_json(const std::string& path) {
  const std::string text = read_text_file(path, kMaxJsonBytes);
  try {
    return parse_strict_json(text, path, kMaxJsonDepth);
  } catch (const Error& e) {  // the cure of damaged checkpoints is another one
    throw Error(ErrorKind::kCheckpoint, e.fact(), path, "fetch or export the folder again");
  }
}

[[noreturn]] void refuse_weights(const std::string& what, const std::string& where) {
  throw Error(ErrorKind::kCheckpoint, what, where, "give config.json and weights of one model");
}

// model.safetensors, or the files that an index names.
std::vector<std::string> weight_files(const std::string& folder) {
  const std::string single = folder + "/model.safetensors", index = single + ".index.json";
  if (path_exists(single)) return {single};
  if (!path_exists(index))
    throw Error(ErrorKind::kConfig, "there is neither model.safetensors nor its index in this folder", folder,
                "save the model as safetensors (save_pretrained does)");
  const json document = read_json(index);
  const json map = document.is_object() ? document.value("weight_map", json()) : json();
  if (!map.is_object()) refuse_weights("weight_map is no object", index);
  std::set<std::string> names;
  for (const auto& [tensor, name] : map.items()) {
    if (!name.is_string() || !is_safe_name(name.get<std::string>()))
      refuse_weights(fmt::format("{} is no name of a file", json_text(name)), index);
    names.insert(folder + "/" + name.get<std::string>());
  }
  return {names.begin(), names.end()};
}

// The tensors of a folder, wherever they lie.
class Weights {
 public:
  explicit Weights(const std::string& folder) {
    for (const std::string& path : weight_files(folder)) {
      files_.push_back({path, SafetensorsReader(path)});
      for (const auto& [name, tensor] : files_.back().reader.tensors())
        if (!place_.emplace(name, files_.size() - 1).second)
          refuse_weights(fmt::format("tensor {} is in another file, too", json_text(json(name))), path);
    }
  }

  // They are the model's, each in its shape, and no others.
  void require_tensors_of(const Model& model, const std::string& folder) const {
    std::set<std::string> expected;
    for (const ParamSpec& spec : model.table()) {
      const std::string name = hf_tensor_name(model.config(), spec.name);
      expected.insert(name);
      if (!place_.contains(name)) refuse_weights("there is no tensor " + name, folder);
      std::vector<int64_t> shape;
      for (const Axis& axis : spec.axes) shape.push_back(axis.extent);
      const File& file = file_of(name);
      const std::vector<int64_t>& found = file.reader.tensors().at(name).shape;
      if (found != shape)
        refuse_weights(fmt::format("tensor {} is [{}] and, by config.json, [{}]", name, fmt::join(found, ", "),
                                   fmt::join(shape, ", ")),
                       file.path);
    }
    for (const auto& [name, file] : place_)
      if (!expected.contains(name))
        refuse_weights(fmt::format("tensor {} has no place in the model", json_text(json(name))), files_[file].path);
  }

  std::vector<float> read_finite(const std::string& name) const {
    const File& file = file_of(name);
    std::vector<float> values = file.reader.read_f32(name);
    for (size_t i = 0; i < values.size(); ++i)
      if (!std::isfinite(values[i]))
        throw Error(ErrorKind::kNumeric, fmt::format("tensor {} is not finite at element {}", name, i), file.path,
                    "nobody can train on from it: use other weights");
    return values;
  }

 private:
  struct File {
    std::string path;
    SafetensorsReader reader;
  };
  const File& file_of(const std::string& name) const { return files_[place_.at(name)]; }

  std::vector<File> files_;
  std::map<std::string, size_t> place_;  // of a tensor: the number of its file
};

// Of the new checkpoint: it says where it comes from, where that is known.
std::string run_id_of(const json& config) {
  const json origin = config.value("/nexus_run/run_id"_json_pointer, json());
  const std::string id = origin.is_string() ? origin.get<std::string>() + "-imported" : "";
  return is_safe_name(id) ? id : "imported";
}

// The folder's tokenizer: the file that the model was trained with, where that is known, else one that nexus reads.
// Folders of some SentencePiece models have a tokenizer.json, too, which is of another kind.
std::string import_tokenizer(const std::string& folder, const std::string& out, TrainState& state) {
  std::string& digest = state.data.tokenizer;
  for (const char* name : {"/tokenizer.json", "/tokenizer.model"}) {
    if (!path_exists(folder + name)) continue;
    try {
      const Tokenizer tokenizer(folder + name);
      if (digest.empty()) digest = tokenizer.digest();
      if (tokenizer.digest() == digest) {
        write_file_durably(out + name, tokenizer.model_bytes());
        return out + name;
      }
      warn("{}{} is not the tokenizer that the model was trained with: it is left behind", folder, name);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kData) throw;
      warn("{}{} is left behind: {}", folder, name, e.what());
    }
  }
  return "";
}

}  // namespace

HfImported import_hf(const std::string& folder, const std::string& out) {
  const std::string config_path = folder + "/config.json";
  if (!path_exists(config_path))
    throw Error(ErrorKind::kConfig, "there is no config.json in this folder", folder, "name a folder of transformers");
  const json config = read_json(config_path);
  TrainState state = state_from_hf(config, config_path);
  const Model model(state.model);
  const Weights weights(folder);
  weights.require_tensors_of(model, folder);

  std::vector<std::vector<float>> values;
  int64_t most = 0;
  for (const ParamSpec& spec : model.table()) {
    values.push_back(weights.read_finite(hf_tensor_name(state.model, spec.name)));
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
  const RunFolder run{out};
  make_folders(run.checkpoints());
  const std::string tokenizer = import_tokenizer(folder, out, state);
  json document = to_json(state);
  document["pinned"] = false;
  const auto alone = make_self_communicator();
  return {save_checkpoint(*alone, run, {run_id_of(config), state.stage(), state.step}, slices, document), state.model,
          model.table().count(), tokenizer};
}

}  // namespace nexus
