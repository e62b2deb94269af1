// dump_model NAME FOLDER: runs one micro-batch of the tiny model NAME in f64 and writes FOLDER/index.json
// (configuration, tokens, where each tensor lies) and FOLDER/data.f64 (weights, gradients, logits, losses), for
// check.py to recompute.
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/model_rig.h"
#include "support/tiny_models.h"

namespace nexus {
namespace {

class Dump {
 public:
  explicit Dump(const std::string& folder)
      : data_(folder + "/data.f64", std::ios::binary), index_path_(folder + "/index.json") {}

  void add(const std::string& name, const Shape& shape, const std::vector<double>& values) {
    nlohmann::json extents = nlohmann::json::array();
    for (int axis = 0; axis < shape.rank(); ++axis) extents.push_back(shape[axis]);
    index_["tensors"][name] = {{"offset", count_}, {"shape", extents}};
    data_.write(reinterpret_cast<const char*>(values.data()),
                static_cast<std::streamsize>(values.size() * sizeof(double)));
    count_ += values.size();
  }
  void set(const std::string& key, nlohmann::json value) { index_[key] = std::move(value); }
  bool finish() {
    std::ofstream(index_path_) << index_.dump(1);
    return data_.good();
  }

 private:
  std::ofstream data_;
  std::string index_path_;
  nlohmann::json index_;
  size_t count_ = 0;
};

nlohmann::json json_of(const ModelConfig& c) {
  return {{"arch", c.arch},
          {"variant", c.word("variant")},
          {"D", c.d},
          {"L", c.layers},
          {"H", c.heads},
          {"kv_heads", c.kv()},
          {"norm", c.word("norm")},
          {"qk_norm", c.word("qk_norm")},
          {"gelu", c.gelu == GeluKind::kErf ? "erf" : "tanh"},
          {"mlp", c.word("mlp")},
          {"tie", c.flag("tie")},
          {"scale_qkv", c.count("scale_qkv")},
          {"scale_proj", c.count("scale_proj")},
          {"scale_ffn", c.count("scale_ffn")},
          {"rope_theta", c.rope_theta},
          {"rotary_share", c.rotary_share}};
}

bool dump(const ModelConfig& config, const std::string& folder) {
  constexpr int64_t kBatch = 2, kContext = 70;  // more than one block of keys in the attention kernels
  constexpr double kScale = 1.0 / 140;          // not a float: 1 / tokens of a step is none either
  testing::ModelRig rig(config, DType::kF64, kBatch, kContext);
  rig.targets()[5] = -1;
  rig.forward_backward(kScale);
  Dump out(folder);
  for (int i = 0; i < rig.model().table().size(); ++i) {
    const ParamSpec& spec = rig.model().table()[i];
    out.add("weight/" + spec.name, spec.shape(), testing::ModelRig::wide_values(rig.params().weight(i)));
    out.add("gradient/" + spec.name, spec.shape(), testing::ModelRig::wide_values(rig.params().grad(i)));
  }
  out.add("losses", {rig.rows()}, rig.losses());
  out.add("logits", {rig.rows(), config.count("V")}, rig.logits());
  out.set("config", json_of(rig.model().config()));
  out.set("batch", kBatch);
  out.set("context", kContext);
  out.set("grad_scale", kScale);
  out.set("tokens", std::vector<int32_t>(rig.tokens().begin(), rig.tokens().end()));
  out.set("targets", std::vector<int32_t>(rig.targets().begin(), rig.targets().end()));
  return out.finish();
}

}  // namespace
}  // namespace nexus

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: dump_model NAME FOLDER\n");
    return 2;
  }
  for (const nexus::testing::NamedModel& model : nexus::testing::tiny_models())
    if (model.name == argv[1]) return nexus::dump(model.config, argv[2]) ? 0 : 1;
  std::fprintf(stderr, "dump_model: no model is called %s\n", argv[1]);
  return 2;
}
