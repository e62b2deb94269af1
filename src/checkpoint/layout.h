// Names of folders inside RUN/checkpoints, private to this module.
//
//   STAGE/0001840            a checkpoint
//   STAGE/0001840.tmp-12-ID  a save of generation 12 under way, or the rest of a killed one
//   STAGE/.trash-0001840-ID  being removed
//   STAGE/0001840.bad        quarantined (0001840.2.bad and so on if taken)
//   LATEST                   hint: "STAGE/0001840"
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/run_folder.h"

namespace nexus {

std::string temporary_path(const std::string& checkpoint, int64_t generation);
std::string trash_path(const std::string& checkpoint);
std::string quarantine_path(const std::string& checkpoint);
std::string latest_path(const RunFolder& run);
// Makes LATEST name a checkpoint.
void write_latest(const RunFolder& run, const std::string& checkpoint);

bool is_temporary_name(const std::string& name);
// Which launch's a temporary folder is; 0 where the name does not say (tools; before names had it).
int64_t generation_of_temporary(const std::string& name);
bool is_trash_name(const std::string& name);
// The step of a folder named like a checkpoint.
std::optional<int64_t> step_of_name(const std::string& name);

struct StageEntry {
  std::string stage, name, path;
};
// Everything inside the stage folders of a run, sorted by path; empty if the run has no checkpoints yet.
std::vector<StageEntry> stage_entries(const RunFolder& run);

// Absolute, without "." or a trailing slash.
std::string normal_path(const std::string& path);

// A folder that a save of this process is filling: pruning leaves it alone while this object lives. Thread-safe.
class LiveFolder {
 public:
  explicit LiveFolder(const std::string& path);
  ~LiveFolder();
  LiveFolder(const LiveFolder&) = delete;
  LiveFolder& operator=(const LiveFolder&) = delete;

 private:
  std::string path_;
};
bool is_live(const std::string& path);

// Removes a tree; false if something is left.
bool remove_quietly(const std::string& path) noexcept;

}  // namespace nexus
