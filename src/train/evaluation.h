// What is measured of a model in training: a list of evaluations, each a file of train/evaluations/ and a line of
// train/evaluations.cpp. The validation loss is the first, which always runs; eval.evaluations names the others.
//
// At a moment of a stage all that are due run in turn, and are recorded together: a request to stop that cannot wait
// leaves the whole moment owed (TrainState::eval_pending).
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/process_grid.h"
#include "model/model.h"
#include "model/workload.h"
#include "records/eval_record.h"
#include "spec/train_options.h"

namespace nexus {

// Moments at which a stage is evaluated.
enum class EvalEvent { kStart, kAfterGrowth, kPeriodic, kEnd };
const char* name_of(EvalEvent event);

// What an evaluation works with.
struct EvalContext {
  Backend& backend;
  ProcessGrid& grid;
  Arena& arena;  // has room for evaluation_bytes (train/memory_advice.h) of `micro` samples; to be left as it was found
  Model& model;
  ParamStore& params;
  const DataSet& valid;
  int64_t context = 0;              // positions of a sample
  int64_t micro = 1;                // samples per rank and pass
  int64_t max_tokens = 0;           // positions; 0: the whole validation set
  std::function<bool()> must_stop;  // asked after every pass
};

struct Evaluation {
  const char* name;  // as eval.evaluations has it
  bool (*is_due)(EvalEvent event);
  // Collective; the same on every rank. Names of figures are words that no other evaluation uses. Nothing, on any rank,
  // once `must_stop` says so on some rank.
  std::optional<std::vector<Figure>> (*run)(const EvalContext& context);
};

// In the order in which they run.
const std::vector<const Evaluation*>& all_evaluations();

// Those of `spec` that are due, as one record; its place, and what it is over, are the caller's. Collective. Nothing
// where one was stopped.
std::optional<EvalRecord> run_evaluations(const EvalContext& context, const EvalSpec& spec, EvalEvent event);

// For evaluations that are means over validation samples, dealt to the data-parallel ranks in turn, evenly spread over
// the set where max_tokens does not take them all. `of_sample` makes one number of a sample's losses. The standard
// error is that of the samples' numbers.
struct SampleMean {
  Figure mean;
  std::vector<double> sums;  // over the samples, of each figure that the output layer gives beside its losses
};
std::optional<SampleMean> mean_over_samples(const EvalContext& context, const std::string& name,
                                            const std::string& unit,
                                            const std::function<double(std::span<const double>)>& of_sample);

}  // namespace nexus
