// The end of a run folder's JSON lines: enough to see where a run stands, however long its history is.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace nexus {

// A place in the campaign: (index of the stage, steps done in it).
using Position = std::pair<int64_t, int64_t>;

struct RunRecord {
  std::string kind;
  Position at{0, 0};
  double time = 0;  // Unix seconds
  nlohmann::json value;
};

int64_t size_of_file(const std::string& path);  // 0 where there is none

// The records behind byte `offset`; behind 0 if the file is shorter, since a run that begins anew has new files.
// Lines that are torn or no records are left out, and so is a line that begins before the offset.
std::vector<RunRecord> records_from(const std::string& path, int64_t offset);

// Why the commits of a ledger are not one line of descent; empty if they are. Nothing may be committed before the
// newest commit unless a `resume` has gone back, and no older generation after a newer one.
std::string lineage_fault(const std::vector<RunRecord>& ledger);

}  // namespace nexus
