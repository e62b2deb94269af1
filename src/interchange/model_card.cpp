#include "interchange/model_card.h"

#include <cmath>

#include "core/units.h"

namespace nexus {
namespace {

std::string evaluation_lines(const EvalRecord& evaluation) {
  std::string text = fmt::format("* Validation loss at this step: {:.4f} nats per token", evaluation.loss);
  if (std::isfinite(evaluation.loss_se)) text += fmt::format(" (standard error {:.4f})", evaluation.loss_se);
  text += fmt::format(" over {} tokens", format_count(evaluation.eval_tokens));
  if (evaluation.bits_per_byte) text += fmt::format(", {:.4f} bits per byte", *evaluation.bits_per_byte);
  text += "\n";
  for (const Figure& figure : evaluation.figures)
    text += fmt::format("* {}: {:.4f} {}\n", figure.name, figure.value, figure.unit);
  return text;
}

std::string how_to_load(const ModelCard& card) {
  const bool own = card.model_class != "LlamaForCausalLM";
  std::string text = fmt::format(R"(```python
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained("FOLDER"{})
```
)",
                                 own ? ", trust_remote_code=True" : "");
  if (own) text += "\nThe code that computes it is `modeling_nexus.py` in this folder.\n";
  return text + (card.tokenizer.empty() ? "\nThere is no tokenizer in this folder.\n"
                                        : fmt::format("\n`{}` encoded its data.\n", card.tokenizer));
}

}  // namespace

std::string model_card_text(const ModelCard& card) {
  const TrainState& state = card.state;
  std::string facts = fmt::format("* Model: {}\n", describe(state.model));
  for (const auto& [width, scale] : state.norm_scales)
    facts += fmt::format("* Norm scale over {}: c^2 / O = {:.6g}\n", width, scale.squared());
  facts += fmt::format("* Parameters: {} ({}), {}\n", card.parameters, format_count(card.parameters), card.dtype);
  facts += fmt::format("* Checkpoint: run {}, stage {}, step {}\n", card.id.run_id, card.id.stage, card.id.step);
  facts += fmt::format("* Trained on {} tokens, {:.4g} FLOPs{}\n", format_count(state.total_tokens()),
                       state.total_flops(), state.flops_def.empty() ? "" : " by definition " + state.flops_def);
  if (card.context > 0) facts += fmt::format("* Context: {} tokens\n", card.context);
  if (state.generations.size() > 1) facts += fmt::format("* Growths: {}\n", state.generations.size() - 1);
  if (card.evaluation) facts += evaluation_lines(*card.evaluation);
  return fmt::format(R"(---
library_name: transformers
pipeline_tag: text-generation
tags: [nexus, {}]
---

# {} {} {}

{}
{})",
                     state.model.arch, state.model.arch, card.id.stage, card.id.step, facts, how_to_load(card));
}

}  // namespace nexus
