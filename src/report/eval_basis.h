// What an evaluation is over: figures over other tokens, contexts or windows do not compare, whatever they are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "report/run_reader.h"

namespace nexus {

struct EvalBasis {
  // Of the tokens (their bytes, and the type that these are read as) and of what made them; empty: not recorded (older
  // runs).
  std::string valid_digest, valid_type, tokenizer_digest;
  std::optional<int64_t> vocab;     // of the model; nothing: not recorded
  int64_t tokens = 0, context = 0;  // of one evaluation
  WorkloadWords words;
};
EvalBasis basis_of(const RunHistory& run, const EvalRecord& row);

// One respect in which two evaluations do not compare.
struct BasisDifference {
  std::string brief;           // for a cell: "other tokenizer"
  std::string text;            // of two runs by their names, without its end
  bool of_tokenizers = false;  // bits per byte may compare where perplexities per token do not
};
// None where they compare, as far as is known. The names stand in the texts.
std::vector<BasisDifference> differences(const EvalBasis& run, const std::string& run_name, const EvalBasis& baseline,
                                         const std::string& baseline_name);

// The evaluations that compare with the run's last one: a run may be evaluated otherwise from some step on.
std::vector<const EvalRecord*> comparable_evals(const RunHistory& run);

}  // namespace nexus
