#include "report/eval_basis.h"

#include <fmt/format.h>

namespace nexus {
namespace {

// The vocabulary of the run's last stage (no growth changes it).
std::optional<int64_t> vocabulary_of(const RunHistory& run) {
  if (run.stages.empty()) return std::nullopt;
  const auto& model = run.stages.back().model;
  const auto found = model.is_object() ? model.find("V") : model.end();
  if (found == model.end() || !found->is_number_integer()) return std::nullopt;
  return found->get<int64_t>();
}

bool both_known(const std::string& a, const std::string& b) {
  return !a.empty() && !b.empty();
}

}  // namespace

EvalBasis basis_of(const RunHistory& run, const EvalRecord& row) {
  return {row.valid_digest, row.valid_type, row.tokenizer_digest, vocabulary_of(run), row.eval_tokens,
          row.context(),    run.words};
}

std::vector<BasisDifference> differences(const EvalBasis& run, const std::string& run_name, const EvalBasis& baseline,
                                         const std::string& baseline_name) {
  std::vector<BasisDifference> found;
  const std::string& unit = run.words.unit;
  const bool same_tokens = both_known(run.valid_digest, baseline.valid_digest) &&
                           run.valid_digest == baseline.valid_digest &&
                           (!both_known(run.valid_type, baseline.valid_type) || run.valid_type == baseline.valid_type);
  const bool same_tokenizer =
      both_known(run.tokenizer_digest, baseline.tokenizer_digest) && run.tokenizer_digest == baseline.tokenizer_digest;
  if (!same_tokens && !same_tokenizer) {
    if (both_known(run.tokenizer_digest, baseline.tokenizer_digest))
      found.push_back(
          {"other tokenizer",
           fmt::format("{} and {} are evaluated on {} of different tokenizers", run_name, baseline_name, unit), true});
    else if (run.vocab && baseline.vocab && *run.vocab != *baseline.vocab)
      found.push_back({"other vocabulary",
                       fmt::format("{}: its vocabulary has {} {}, that of {} has {}", run_name, *run.vocab, unit,
                                   baseline_name, *baseline.vocab),
                       true});
  }
  if (found.empty() && both_known(run.valid_digest, baseline.valid_digest) && !same_tokens)
    found.push_back({"other validation " + unit,
                     fmt::format("{} and {} are evaluated on different validation {}", run_name, baseline_name, unit),
                     false});
  if (run.context != baseline.context)
    found.push_back({"other context",
                     fmt::format("{} is evaluated in contexts of {} {}, {} of {}", run_name, run.context, unit,
                                 baseline_name, baseline.context),
                     false});
  if (run.tokens != baseline.tokens)
    found.push_back(
        {"other " + run.words.samples,
         fmt::format("{} is evaluated on {} {}, {} on {}", run_name, run.tokens, unit, baseline_name, baseline.tokens),
         false});
  return found;
}

std::vector<const EvalRecord*> comparable_evals(const RunHistory& run) {
  std::vector<const EvalRecord*> rows;
  for (const EvalRecord& row : run.evals)
    if (differences(basis_of(run, row), "", basis_of(run, run.evals.back()), "").empty()) rows.push_back(&row);
  return rows;
}

}  // namespace nexus
