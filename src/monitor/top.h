// `nexus top`: one screen for several runs.
#pragma once

#include <string>
#include <vector>

#include "monitor/run_series.h"
#include "slurm/status.h"

namespace nexus {

struct TopRun {
  RunView view;
  RunSeries series;  // its end is enough
};

// A line for each run: state, stage, progress of the whole campaign, loss and its course over the last steps, rate,
// MFU, time left, what it has cost so far; below, the sum. As wide as `columns` allows: bar and course shrink first,
// then names.
std::string top_text(const std::vector<TopRun>& runs, int columns);

}  // namespace nexus
