// What one generation of a run, a launch, says of itself: RUN/lease/000012.json. Who may write it and what follows from
// it is campaign/run_lease.h's.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "records/json_lines.h"
#include "records/launch_end.h"
#include "records/launch_mark.h"

namespace nexus {

struct LeaseRecord {
  int64_t generation = 0;
  std::string host;     // for people
  std::string machine;  // boot and process namespace: where `pid` means something
  int64_t pid = 0, start_ticks = 0;
  SlurmJob job;  // without its nodes
  int64_t ranks = 1, nodes = 1;
  double seconds = 0;       // wall clock used, as of the last renewal
  double save_seconds = 0;  // of the latest save; 0: none
  int64_t renewals = 0;
  int64_t found = -1;            // sequence of the newest checkpoint when it began; -1: it did not get so far
  int64_t commits = 0;           // that it has made itself
  bool released = false;         // it has ended by itself
  std::optional<LaunchEnd> end;  // and how; nothing: it goes on, was killed, or is of an older nexus
  // False where the file told nothing but its number.
  bool readable() const { return pid > 0; }
};

nlohmann::json to_json(const LeaseRecord& record);
// Throws ErrorKind::kData where a field is missing or of the wrong type.
LeaseRecord lease_from_json(const JsonRecord& document);

}  // namespace nexus
