// RUN/STATUS: one line, for people what comes first, for scripts and `nexus slurm job-end` the groups at its end.
//
//   running stage s1 step 1840 of 2289 loss 2.8413 | generation 12 | job 345 restart 1
//   nexus: error: ... | reason device | node n12 | exit 76 | generation 12 | job 345 restart 1
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/run_folder.h"
#include "records/launch_end.h"
#include "records/launch_mark.h"

namespace nexus {

struct StatusRecord {
  std::string text;              // for people; may hold " | "
  std::optional<LaunchEnd> end;  // nothing: the launch goes on, or was killed
  LaunchMark launch;             // generation 0: none is told

  // With all stages of the campaign, not only one that a launch was to end at.
  bool is_done() const { return end && end->exit == ExitCode::kDone && end->reason != kReasonStageDone; }

  static constexpr std::string_view kRunning = "running";  // the first word while a launch goes on
};

// The file's one line, with its newline; line breaks in the text become spaces.
std::string status_text(const StatusRecord& status);
// The groups that end the first line of `text`; those that are none of ours are people's. Lines of an older nexus have
// neither reason nor node.
StatusRecord parse_status(const std::string& text);

// Nothing where there is no STATUS. Throws as read_text_file.
std::optional<StatusRecord> read_status(const RunFolder& run);

}  // namespace nexus
