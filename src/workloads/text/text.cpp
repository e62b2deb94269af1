#include "workloads/text/text.h"

#include "layers/embedding.h"
#include "layers/head.h"

namespace nexus {
namespace {

class Text : public Workload {
 public:
  std::string name() const override { return "text"; }

  std::unique_ptr<InputLayer> input_layer(const ModelConfig& config, ParamTable& table) const override {
    return std::make_unique<Embedding>(table, "embed.weight", config.vocab, config.d);
  }
  std::unique_ptr<OutputLayer> output_layer(const ModelConfig& config, const InputLayer& input,
                                            ParamTable& table) const override {
    if (config.tie) return std::make_unique<Head>(table, dynamic_cast<const Embedding&>(input).param());
    return std::make_unique<Head>(table, "head.weight", config.vocab, config.d);
  }
};

}  // namespace

const Workload& text_workload() {
  static const Text text;
  return text;
}

}  // namespace nexus
