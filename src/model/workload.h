// What nexus has to know of a kind of data that models are trained on: the layers between samples and the residual
// stream, and how its progress is counted. One folder of workloads/ each, and one line of workloads/workloads.cpp;
// nothing else in nexus names one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "layers/input_layer.h"
#include "layers/output_layer.h"
#include "model/model_config.h"

namespace nexus {

class Workload {
 public:
  virtual ~Workload() = default;

  virtual std::string name() const = 0;  // "text"

  // --- a model's ends, whose parameters are appended to the table: the input before the blocks, the output after them
  virtual std::unique_ptr<InputLayer> input_layer(const ModelConfig& config, ParamTable& table) const = 0;
  virtual std::unique_ptr<OutputLayer> output_layer(const ModelConfig& config, const InputLayer& input,
                                                    ParamTable& table) const = 0;
};

// In workloads/workloads.cpp; a program that links a list of its own has that one.
const std::vector<const Workload*>& all_workloads();
// Throws ErrorKind::kConfig with the nearest name.
const Workload& workload(const std::string& name);

}  // namespace nexus
