// What nexus has to know of a kind of data that models are trained on: its files, the layers between samples and the
// residual stream, and how its progress is counted. One folder of workloads/ each, and one line of
// workloads/workloads.cpp; nothing else in nexus names one.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/data_options.h"
#include "data/sampler.h"
#include "layers/input_layer.h"
#include "layers/output_layer.h"
#include "model/model_config.h"
#include "records/eval_record.h"
#include "records/workload_words.h"

namespace nexus {

// What has made the samples out of what they stand for (of text: the tokenizer), as far as somebody says.
struct Encoder {
  std::string path{};                // tokenizer.path; empty: not named
  std::string digest{}, named_by{};  // without a path: a digest that is known, and who says so
};

class Workload {
 public:
  virtual ~Workload() = default;

  // Its name, what it counts and what its loss is: how progress, figures and files are told.
  virtual const WorkloadWords& words() const = 0;
  const std::string& name() const { return words().name; }
  const std::string& unit() const { return words().unit; }  // of a position, which progress is counted in

  // Of a model's configuration, beside those of every model and of its architecture, whose names differ; in the order
  // in which they are shown. Counts are read before words, so a count is no key `only_with` one of them.
  virtual const std::vector<ModelKey>& keys() const;

  // --- a model's ends, whose parameters are appended to the table: the input before the blocks, the output after them
  virtual std::unique_ptr<InputLayer> input_layer(const ModelConfig& config, ParamTable& table) const = 0;
  virtual std::unique_ptr<OutputLayer> output_layer(const ModelConfig& config, const InputLayer& input,
                                                    ParamTable& table) const = 0;

  virtual AttentionMask mask() const { return AttentionMask::kCausal; }
  // Whether the rows of a sample have an order, which rotary positions tell.
  virtual bool has_positions() const { return true; }

  // What else an evaluation over `loss.count` samples of `valid` tells. `sums` as in train/evaluation.h.
  virtual std::vector<Figure> metrics(const DataSet& valid, const Figure& loss,
                                      const std::vector<double>& sums) const = 0;

  // --- data. Errors name the configuration key.
  virtual std::string files() const = 0;         // what people call the files of its data: "token files"
  virtual std::string files_advice() const = 0;  // how to come by them: "make token files with `nexus data build`"
  // The files that a path of the configuration stands for.
  virtual std::vector<std::string> files_of(const std::string& path) const = 0;
  // Samples of `context` positions each. Throws ErrorKind::kData.
  virtual std::unique_ptr<const DataSet> open(const std::string& path, int64_t context,
                                              const ModelConfig& config) const = 0;
  // Samples that mean nothing, to be timed: drawn once, so that a step does not wait for random numbers.
  virtual FetchSample random_samples(int64_t context, const ModelConfig& config, uint64_t seed) const = 0;
  // Whether the sets, what encoded them and the model belong together, as far as descriptions tell. Throws
  // ErrorKind::kConfig or kData. The digest of what encoded them; empty: nobody knows it.
  virtual std::string check_descriptions(const std::vector<NamedDataSet>& sets, const Encoder& encoder,
                                         const ModelConfig& config) const = 0;
  // The same as far as their bytes tell; `contents` in the order of the sets.
  virtual void check_contents(const std::vector<NamedDataSet>& sets, const std::vector<DataContent>& contents,
                              const Encoder& encoder, const ModelConfig& config) const = 0;
  // For run.json: what a set holds, and what of the model decides how it is read.
  virtual nlohmann::json describe(const DataSet& set, const DataContent& content) const = 0;
  virtual nlohmann::json describe(const ModelConfig& config) const = 0;
  // Warnings, empty where there is nothing to say. Of validation samples that are believed to be trained on: cheap
  // enough for every launch.
  virtual std::string overlap_warning(const DataSet& valid, const DataSet& train) const = 0;
  // Of data that is read `passes` times, as the end of a sentence that says so.
  virtual std::string repetition_warning(double) const { return ""; }
};

// What a run reads.
struct RunData {
  Sampler train;
  std::unique_ptr<const DataSet> valid;  // null: no evaluation

  // All of them with the keys that name them, training sets first.
  std::vector<NamedDataSet> named() const;
};
// Throws ErrorKind::kConfig where there is no training data, kData where some cannot be read.
RunData open_data(const DataOptions& options, const ModelConfig& config, uint64_t seed);

// In workloads/workloads.cpp; a program that links a list of its own has that one.
const std::vector<const Workload*>& all_workloads();
// Throws ErrorKind::kConfig with the nearest name.
const Workload& workload(const std::string& name);

}  // namespace nexus
