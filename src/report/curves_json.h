// curves.json: what the scripts in analysis/ draw, and what `nexus report --json` prints.
#pragma once

#include <nlohmann/json.hpp>

#include "report/summary.h"

namespace nexus {

// Figures per run and stage, savings and warnings. Unknown numbers (and infinities) are null.
nlohmann::ordered_json summary_json(const ReportData& data);

// The summary with the curves: validation losses, savings against the target, and the training loss in at most
// `max_points` buckets of consecutive steps per stage (mean, least and greatest loss; last learning rate).
nlohmann::ordered_json curves_json(const ReportData& data, int64_t max_points = 1000);

}  // namespace nexus
