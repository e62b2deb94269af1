// Whether a folder can hold a run: what lies below it, what it can do, how fast, how much room is left.
//
// probe_storage works in a scratch folder of its own, which it removes again; judge_storage is a pure function of what
// that found.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "doctor/finding.h"
#include "doctor/mounts.h"

namespace nexus {

struct StorageOptions {
  std::string folder;             // of the run; need not exist yet
  int64_t file_bytes = 64 << 20;  // of the file that is written and read back
  int rounds = 3;                 // of it
  int fsync_rounds = 20;          // of 4 KiB each
  double most_seconds = 30;       // then measuring ends after the round it is in
  int nodes = 1;                  // that will use the folder at once
  int64_t checkpoint_bytes = 0;   // of the campaign's largest stage; 0: no campaign was named
  int64_t kept_bytes = 0;         // of all checkpoints that the campaign keeps at a time, and one under way
};

// One thing that the file system must be able to do.
struct StorageAbility {
  std::string name;     // "flock"
  std::string reason;   // why not; empty: it can
  bool needed = false;  // by nexus, at every save or start
};

struct StorageFacts {
  std::string folder;          // where it was tried: options.folder, or the nearest one above it that exists
  std::optional<Mount> mount;  // nothing: /proc does not tell
  int64_t free_bytes = 0, free_files = -1;  // -1: the file system does not count them
  int error = 0;                            // errno of the first thing that failed: no scratch folder, or a write
  std::string failed;                       // what that was: "create a folder"; empty: nothing
  std::vector<StorageAbility> abilities;
  std::vector<double> write_rates, read_rates, fsync_seconds;  // bytes a second, seconds; one a round
};

StorageFacts probe_storage(const StorageOptions& options);
std::vector<Finding> judge_storage(const StorageFacts& facts, const StorageOptions& options);

// `folder` without links, or the nearest folder above it that exists.
std::string nearest_folder(const std::string& folder);

}  // namespace nexus
