#include "cli/text_checkpoint.h"

#include <optional>
#include <utility>

#include "config/config.h"
#include "core/files.h"
#include "core/run_folder.h"
#include "model/model.h"

namespace nexus {

TextCheckpoint open_text_checkpoint(const std::string& path) {
  Checkpoint checkpoint(path);
  TrainState state = train_state_from_json(checkpoint.state(), path);
  if (state.model.workload != "text")
    throw Error(ErrorKind::kConfig, fmt::format("the model is one of {}, not of text", state.model.workload), path,
                "name a checkpoint of a text model");
  const DType stored = checkpoint.info("master/" + Model(state.model).table()[0].name).dtype;
  TextCheckpoint result{path, std::move(checkpoint), std::move(state), "", "", 0, stored, false};
  const RunFolder run = run_of_checkpoint(path);
  if (!path_exists(run.resolved_config())) return result;
  const CampaignSpec spec = load_campaign(run.resolved_config()).spec;
  result.run_tokenizer = spec.tokenizer;
  result.valid = spec.data.valid;
  result.run_context = spec.data.context;
  result.compute = spec.precision.compute;
  result.deterministic = spec.precision.deterministic;
  return result;
}

Tokenizer open_tokenizer(const TextCheckpoint& of, const std::string& told) {
  const std::string path = told.empty() ? of.run_tokenizer : told;
  if (path.empty())
    throw Error(ErrorKind::kConfig, "nothing says which tokenizer the model was trained with", of.path,
                "name it with --tokenizer");
  Tokenizer tokenizer(path);
  if (!of.state.data.tokenizer.empty() && of.state.data.tokenizer != tokenizer.digest())
    throw Error(ErrorKind::kConfig, "the model was trained with another tokenizer", path,
                "name that one with --tokenizer");
  const int64_t pieces = tokenizer.vocab_size(), vocab = of.state.model.count("V");
  if (pieces > vocab)
    throw Error(ErrorKind::kConfig, fmt::format("the tokenizer has {} pieces, the model {}", pieces, vocab), path,
                "name the model's own with --tokenizer");
  return tokenizer;
}

int64_t context_length(const TextCheckpoint& of, int64_t told) {
  const int64_t context = told > 0 ? told : of.run_context;
  if (context == 0)
    throw Error(ErrorKind::kConfig, "nothing says how many tokens the model reads", of.path, "say so with --context");
  return context;
}

void load_weights(const TextCheckpoint& of, ParamStore& params) {
  load_training(of.checkpoint, params);
  params.set_norm_scales(of.state.norm_scales);
  params.set_growth_masks(of.state.growth_masks);
}

}  // namespace nexus
