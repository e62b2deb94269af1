// `nexus metrics tail`: the last steps and evaluations of a run as a table, once or as they come.
#pragma once

#include <string>

#include "monitor/run_series.h"

namespace nexus {

class MetricsTable {
 public:
  explicit MetricsTable(const WorkloadWords& words) : words_(words) {}

  std::string header() const;
  // A line for each of the last `count` rows; all rows where it is 0.
  std::string last(const RunSeries& series, size_t count);
  // Of what has come since the last call; where the run has gone back to a checkpoint, a line says so first.
  std::string news(const RunSeries& series);

 private:
  // Where a row stands; an evaluation behind its step.
  struct Place {
    int64_t stage = -1, step = 0;
    bool is_eval = false;
    auto operator<=>(const Place&) const = default;
  };
  static Place place_of(const SeriesRow& row) { return {row.place.stage_index, row.place.step, row.is_eval}; }
  std::string line(const SeriesRow& row) const;

  WorkloadWords words_;
  Place shown_;      // the last row that was shown
  double time_ = 0;  // and when it was written
};

}  // namespace nexus
