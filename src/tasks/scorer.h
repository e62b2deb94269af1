// Log-likelihoods of continuations by a text model, on a dp x tp grid.
//
// What requests of a batch begin with in common is computed once (packed_requests.h). Which of them share a batch may
// change the order of sums inside a matrix product, hence the last bits, and nothing else.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "comm/process_grid.h"
#include "model/model.h"
#include "tasks/requests.h"

namespace nexus {

struct ContinuationScore {
  double loglikelihood = 0;  // nats, of all its tokens
  bool greedy = false;       // none of its tokens has a likelier rival
};

struct ScoringContext {
  Backend& backend;
  ProcessGrid& grid;
  Model& model;
  ParamStore& params;
  int64_t batch_tokens = 0;  // rows of a pass on one rank; one request always goes
  std::string label;         // of the progress line
  Arena* arena = nullptr;    // to be used where it has room for a pass; memory is allocated otherwise
};

// In the order of the requests, the same on every rank. Collective: batches are dealt to the data-parallel ranks.
// Throws ErrorKind::kNumeric where a log-likelihood is not finite.
std::vector<ContinuationScore> score_requests(const ScoringContext& context, const std::vector<ScoreRequest>& requests);

}  // namespace nexus
