// What a study has found (docs/studies.md has the definitions for readers): arms over seeds, paired with the baseline
// seed by seed, with intervals over seeds; swept keys; compute saved, taken apart.
#pragma once

#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "report/table.h"
#include "spec/study_spec.h"
#include "study/study_measures.h"

namespace nexus {

// An arm, or of a swept one the value that was chosen.
struct GroupResult {
  std::string group, value;  // value: empty where nothing is swept
  ArmRuns runs;
  Measured loss;
  // Against the baseline's, seed by seed: loss minus the baseline's, at the runs' ends; at the tokens, the training
  // FLOPs and the training seconds of whichever of the two ends first.
  Measured at_end;
  Interval at_equal_tokens, at_equal_flops, at_equal_seconds;
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

// Names the runs that are missing; empty where none is.
std::string missing_text(const StudyReport& report);

// Writes tables.md, results.json, runs.csv and, where Python can draw, study.svg and study.png into `folder`. Returns
// warnings: why there is no picture.
std::vector<std::string> write_study_report(const StudySpec& study, const StudyReport& report,
                                            const std::string& folder);

}  // namespace nexus
