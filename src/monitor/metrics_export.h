// `nexus metrics export`: what runs have recorded, in the formats of other programs.
#pragma once

#include <string>
#include <vector>

#include "monitor/run_series.h"
#include "slurm/status.h"

namespace nexus {

// A line for each step and evaluation of all runs: run, kind (step, eval), stage, step, tokens, time (Unix seconds),
// and a column for every name, empty where a row has none. Full precision; fields by RFC 4180.
std::string csv_text(const std::vector<RunSeries>& runs);

// OUT/NAME/events... of every run: curves by tokens, as `logging.tensorboard` writes them. Throws ErrorKind::kConfig
// where two runs have one name, ErrorKind::kIo where it cannot be written.
void write_tensorboard(const std::vector<RunSeries>& runs, const std::string& out);

// The newest values, for the text file collector of Prometheus's node exporter: gauges nexus_NAME{run=...,stage=...} of
// every name (a slash is an underscore), nexus_tokens, nexus_running, nexus_seconds_left, and of what is spent
// nexus_spent_gpu_hours and its like, lost work included. `views`: of the same runs.
std::string prometheus_text(const std::vector<RunSeries>& runs, const std::vector<RunView>& views);

}  // namespace nexus
