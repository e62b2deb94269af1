// How a launch has ended, as STATUS and its lease say it: `nexus slurm job-end` decides by these fields and reads no
// prose.
#pragma once

#include <string>

#include "core/error.h"

namespace nexus {

struct LaunchEnd {
  ExitCode exit = ExitCode::kDone;  // as read from a file it may be none of the named ones
  std::string reason;               // a word: one of name_of(ErrorKind), or one of below; "": an older nexus
  std::string suspect_node;         // host whose hardware is suspected; "": none is, or nobody knows which
};

// Reasons that are no ErrorKind.
inline constexpr const char kReasonDone[] = "done", kReasonStageDone[] = "stage_done", kReasonStopped[] = "stopped",
                            kReasonBudget[] = "budget", kReasonHang[] = "hang";

LaunchEnd end_of(const Error& error);
// Of what is being handled, in a catch clause: what is no Error is a bug.
LaunchEnd end_of_current_exception();

}  // namespace nexus
