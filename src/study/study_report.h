// What a study has found (docs/studies.md has the definitions for readers): arms over seeds, paired with the baseline
// seed by seed, with intervals over seeds; swept keys; compute saved, taken apart.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "report/run_reader.h"
#include "report/table.h"
#include "spec/study_spec.h"
#include "statistics/interval.h"

namespace nexus {

// One arm's runs that have come to their end, by seed.
struct ArmRuns {
  size_t arm = 0;
  std::map<std::string, RunHistory> by_seed;
  SeedValues losses() const;  // of the last evaluations
};

// An arm, or of a swept one the value that was chosen.
struct GroupResult {
  std::string group, value;  // value: empty where nothing is swept
  ArmRuns runs;
  Interval loss;  // over seeds
  // Against the baseline's, seed by seed: loss minus the baseline's, at the runs' ends, at the tokens and at the
  // training FLOPs of whichever of the two ends first.
  Interval at_end, at_equal_tokens, at_equal_flops;
  std::string why_unpaired;  // empty where it is paired
};

struct StudyReport {
  std::vector<GroupResult> groups;
  std::vector<std::string> missing;  // runs that are not done: they are in no figure
  std::vector<Table> tables;
  nlohmann::ordered_json json;
};

// Of what is done. Throws ErrorKind::kData where not one run is.
StudyReport report_study(const StudySpec& study);

// Writes tables.md, results.json and runs.csv into `folder`, each at once.
void write_study_report(const StudySpec& study, const StudyReport& report, const std::string& folder);

}  // namespace nexus
