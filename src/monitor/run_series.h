// A run's steps and evaluations as one series of named numbers: what is plotted, exported and shown while it goes on.
#pragma once

#include <string>
#include <vector>

#include "records/scalars.h"

namespace nexus {

struct SeriesRow {
  RecordPlace place;
  bool is_eval = false;
  int64_t tokens = 0;  // of the lineage
  double time = 0;     // when it was written, in Unix seconds
  Scalars values;

  const double* find(const std::string& name) const;  // nullptr: it has none of the name
};

struct RunSeries {
  std::string folder, name;  // name: of the folder
  WorkloadWords words;
  std::vector<SeriesRow> rows;  // in order of their places; an evaluation stands behind the step that it follows
};

// Of all values of all runs, in the order in which they first come.
std::vector<std::string> names_of(const std::vector<RunSeries>& runs);

// The resume rule applied. Throws ErrorKind::kData where `folder` is no run folder or holds malformed records.
RunSeries read_series(const std::string& folder);

// Only what the last `bytes` of its files hold, for those who look again and again; never fails on what is just
// written.
RunSeries read_series_end(const std::string& folder, int64_t bytes = 256 << 10);

}  // namespace nexus
