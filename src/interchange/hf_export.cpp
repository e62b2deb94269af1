#include "interchange/hf_export.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "core/files.h"
#include "core/hash.h"
#include "core/json_text.h"
#include "core/log.h"
#include "interchange/hf_config.h"
#include "interchange/model_card.h"
#include "interchange/safetensors.h"
#include "model/model.h"
#include "records/run_description.h"
#include "workloads/text/tokenizer.h"
#include "workloads/text/tokenizer_check.h"
#include "workloads/text/tokenizer_json.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

// `data` of its run.json; empty where the run is not around the checkpoint, or its file cannot be read.
json data_of(const Checkpoint& checkpoint) {
  try {
    const auto description = RunDescription::read(run_of_checkpoint(checkpoint.path()));
    if (description && description->run_id() == checkpoint.id().run_id)
      return description->document().value("data", json::object());
  } catch (const Error&) {
  } catch (const json::exception&) {
  }
  return json::object();
}

std::optional<EvalRecord> evaluation_of(const Checkpoint& checkpoint) {
  std::optional<EvalRecord> last;
  const CheckpointId& id = checkpoint.id();
  try {
    for_each_record(run_of_checkpoint(checkpoint.path()).evals(), [&](const JsonRecord& record) {
      if (record.kind() != EvalRecord::kKind) return true;
      const EvalRecord evaluation = eval_from_json(record);
      if (evaluation.stage == id.stage && evaluation.step == id.step) last = evaluation;
      return true;
    });
  } catch (const Error&) {  // a card without the figure is a card
  }
  return last;
}

// The one that is told, which must be the checkpoint's; else the run's, where it still is that.
std::optional<Tokenizer> tokenizer_for(const HfExport& options, const TrainState& state, const json& data) {
  const std::string& digest = state.data.tokenizer;
  if (!options.tokenizer.empty()) {
    Tokenizer told(options.tokenizer);
    if (!digest.empty() && told.digest() != digest)
      throw Error(ErrorKind::kData, "this is not the tokenizer that the checkpoint was trained with", options.tokenizer,
                  "name that one, or none");
    return told;
  }
  const json path = data.is_object() ? data.value("/tokenizer/path"_json_pointer, json()) : json();
  if (!path.is_string() || digest.empty()) return std::nullopt;
  try {
    Tokenizer named(path.get<std::string>());
    if (named.digest() == digest) return named;
    warn("{} is not the tokenizer that the checkpoint was trained with any more: it stays out of the folder",
         path.get<std::string>());
  } catch (const Error& e) {
    warn("the run's tokenizer stays out of the folder: {}", e.what());
  }
  return std::nullopt;
}

// All elements of a master weight, rounded to f32 where they are f64.
std::vector<float> master_of(const Checkpoint& checkpoint, const std::string& name) {
  const Checkpoint::TensorInfo& info = checkpoint.info(name);
  std::vector<float> values(static_cast<size_t>(info.shape.count()));
  if (info.dtype == DType::kF32) {
    checkpoint.read(name, whole_box(info.shape), values.data());
    return values;
  }
  std::vector<double> wide(values.size());
  checkpoint.read(name, whole_box(info.shape), wide.data());
  std::transform(wide.begin(), wide.end(), values.begin(), [](double value) { return static_cast<float>(value); });
  return values;
}

void write_weights(const std::string& path, const Checkpoint& checkpoint, const TrainState& state, DType dtype) {
  const Model model(state.model);
  std::vector<SafetensorsTensor> tensors;
  for (const ParamSpec& spec : model.table()) {
    const std::string name = "master/" + spec.name;
    if (!(checkpoint.info(name).shape == spec.shape()))
      throw Error(ErrorKind::kCheckpoint,
                  fmt::format("{} is {} in the checkpoint and {} in its model", name, checkpoint.info(name).shape.str(),
                              spec.shape().str()),
                  checkpoint.path(), "use another checkpoint");
    SafetensorsTensor tensor{hf_tensor_name(state.model, spec.name), "", {}, 0, 0};
    for (const Axis& axis : spec.axes) tensor.shape.push_back(axis.extent);
    tensors.push_back(std::move(tensor));
  }
  SafetensorsWriter writer(path, dtype, std::move(tensors));
  for (const ParamSpec& spec : model.table()) writer.write(master_of(checkpoint, "master/" + spec.name));
  writer.finish();
}

ordered_json generation_config(const std::optional<SpecialIds>& ids) {
  ordered_json config = ordered_json::object();
  if (ids && ids->bos >= 0) config["bos_token_id"] = ids->bos;
  if (ids && ids->eos >= 0) config["eos_token_id"] = ids->eos;
  return config;
}

const char* tokenizer_file(const Tokenizer& tokenizer) {
  return tokenizer.kind() == TokenizerKind::kByteLevelBpe ? "tokenizer.json" : "tokenizer.model";
}

// tokenizer_config.json of a tokenizer.json, which transformers reads as it is.
ordered_json byte_level_config(const Tokenizer& tokenizer) {
  const TokenizerJson file = TokenizerJson::parse(tokenizer.model_bytes(), "tokenizer.json");
  const auto token = [&](int32_t id) -> json {
    if (id < 0) return {};
    const auto added = std::ranges::find(file.added, id, &AddedToken::id);
    return added != file.added.end() ? added->content : file.tokens[static_cast<size_t>(id)];
  };
  return {{"tokenizer_class", "PreTrainedTokenizerFast"},
          {"bos_token", token(tokenizer.bos_id())},
          {"eos_token", token(tokenizer.eos_id())},
          {"clean_up_tokenization_spaces", false}};
}

// transformers' LlamaTokenizer encodes as SentencePiece does where pairs are merged and nothing is put before a text or
// normalised away, as in the vocabularies of `nexus data build`. Nothing for other models.
std::optional<ordered_json> tokenizer_config(const Tokenizer& tokenizer) {
  if (tokenizer.kind() == TokenizerKind::kByteLevelBpe) return byte_level_config(tokenizer);
  const TokenizerOutline outline = check_tokenizer_model(tokenizer.model_bytes(), "tokenizer.model");
  if (!outline.is_bpe || outline.adds_dummy_prefix || !tokenizer.keeps_text()) return std::nullopt;
  const auto token = [](int32_t id, const std::string& name) { return id < 0 ? json() : json(name); };
  return ordered_json{{"tokenizer_class", "LlamaTokenizer"},
                      {"bos_token", token(tokenizer.bos_id(), outline.bos)},
                      {"eos_token", token(tokenizer.eos_id(), outline.eos)},
                      {"unk_token", token(tokenizer.unknown_id(), outline.unknown)},
                      {"add_bos_token", false},
                      {"add_eos_token", false},
                      {"add_prefix_space", false},
                      {"clean_up_tokenization_spaces", false},
                      {"legacy", false}};
}

std::string file_text(const ordered_json& document) {
  return json_text(document, 2) + "\n";
}

// A folder under a temporary name, which goes unless it is given its own.
class NewFolder {
 public:
  explicit NewFolder(const std::string& path)
      : path_(fs::absolute(path).lexically_normal().string()), draft_(fmt::format("{}.tmp-{}", path_, ::getpid())) {
    while (path_.size() > 1 && path_.back() == '/') {
      path_.pop_back();
      draft_ = fmt::format("{}.tmp-{}", path_, ::getpid());
    }
    if (path_exists(path_))
      throw Error(ErrorKind::kConfig, "this exists already", path_, "name a folder that does not exist, or remove it");
    make_folders(draft_);
  }
  ~NewFolder() {
    std::error_code ignored;
    fs::remove_all(draft_, ignored);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  std::string operator/(const char* name) const { return draft_ + "/" + name; }
  void finish() const { rename_durably(draft_, path_); }

 private:
  std::string path_, draft_;
};

int64_t size_of_folder(const std::string& folder) {
  int64_t size = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    size += static_cast<int64_t>(entry.file_size());
  return size;
}

}  // namespace

HfExported export_hf(const Checkpoint& checkpoint, const HfExport& options) {
  checkpoint.require_finite();
  const TrainState state = train_state_from_json(checkpoint.state(), checkpoint.path());
  require_open_masks(state, checkpoint.path());
  if (state.model.workload != kDefaultWorkload)
    throw Error(ErrorKind::kConfig, "transformers has no causal language model of workload " + state.model.workload,
                checkpoint.path(), "export checkpoints of workload text");
  const json data = data_of(checkpoint);
  const std::optional<Tokenizer> tokenizer = tokenizer_for(options, state, data);
  const std::optional<SpecialIds> ids =
      tokenizer ? std::optional(SpecialIds{tokenizer->bos_id(), tokenizer->eos_id()}) : std::nullopt;
  const std::string dtype = options.dtype == DType::kBF16 ? "bfloat16" : "float32";
  const json context = data.is_object() ? data.value("context", json()) : json();
  const StateOrigin origin{checkpoint.id().run_id, context.is_number_integer() ? context.get<int64_t>() : 0};

  const NewFolder folder(options.folder);
  const ordered_json config = hf_config(state, origin, dtype, ids);
  HfExported result{Model(state.model).table().count(), 0, config["architectures"][0],
                    tokenizer ? tokenizer_file(*tokenizer) : ""};
  write_weights(folder / "model.safetensors", checkpoint, state, options.dtype);
  write_file_durably(folder / "config.json", file_text(config));
  write_file_durably(folder / "generation_config.json", file_text(generation_config(ids)));
  if (!is_llama(state.model)) write_file_durably(folder / "modeling_nexus.py", kModelingPython);
  if (tokenizer) {
    write_file_durably(folder / tokenizer_file(*tokenizer), tokenizer->model_bytes());
    if (const auto loading = tokenizer_config(*tokenizer))
      write_file_durably(folder / "tokenizer_config.json", file_text(*loading));
  }
  write_file_durably(folder / "README.md",
                     model_card_text({checkpoint.id(), state, result.parameters, origin.context, dtype,
                                      result.model_class, result.tokenizer, evaluation_of(checkpoint)}));
  result.size_bytes = size_of_folder(folder / "");
  folder.finish();
  return result;
}

}  // namespace nexus
