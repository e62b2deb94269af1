// What is measured of a study's runs: losses and paired differences over seeds, with the part of their scatter that is
// evaluations (docs/studies.md and docs/report.md have the definitions for readers).
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "report/run_reader.h"
#include "statistics/interval.h"
#include "statistics/noise.h"

namespace nexus {

// A run that has come to its end.
struct FinishedRun {
  RunHistory history;
  // At each of its evaluations: what the lineage's optimizer steps have taken, without evaluations, saves and lost
  // work.
  std::vector<double> seconds;
  const EvalRecord& last() const { return history.evals.back(); }
};

// One arm's, by seed.
struct ArmRuns {
  size_t arm = 0;
  std::map<std::string, FinishedRun> by_seed;
};

// Values of several seeds, and what of their scatter is the evaluations' noise.
struct Measured {
  Interval over_seeds;
  NoiseParts noise;
  bool exact = false;  // window by window; false: noise.evaluation is an upper bound (statistics/noise.h)
  // Of one seed's value, over the windows; NaN where there are several, or where windows are not told.
  double se = std::numeric_limits<double>::quiet_NaN();
};

// What the steps of a run took, in seconds, until the lineage had so many tokens, in ascending order; `before`: what
// those of its ancestors took.
std::vector<double> seconds_until(const RunHistory& run, double before, const std::vector<int64_t>& tokens);

// At the runs' ends.
Measured losses_of(const ArmRuns& runs);

// A run and its baseline of each seed.
using RunPairs = std::vector<std::pair<const FinishedRun*, const FinishedRun*>>;

// Loss minus the baseline's, at the runs' ends.
Measured differences_at_end(const RunPairs& pairs);

// Likewise where the shorter of a pair ends, by what both have spent then, ancestors included; the other's loss taken
// straight between its evaluations in (log amount, loss). Empty where a pair has none.
enum class RunAmount { kTokens, kFlops, kSeconds };
Interval difference_at_equal(const RunPairs& pairs, RunAmount amount);

}  // namespace nexus
