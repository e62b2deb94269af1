// What a rank without progress leaves behind, and what all of it together says about the cause.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/progress.h"

namespace nexus {

struct StallDump {
  int rank = 0, size = 1;  // in the world
  std::string time, host;
  int64_t pid = 0;
  double idle_seconds = 0;  // since the last sign of life
  progress::Snapshot state;
  std::vector<std::string> stack;  // of the main thread, innermost first; empty if it did not answer
};

// A text of `key: value` lines for people, which parse_dump reads back (the stack as it was written; the kind of the
// phase is not kept). Nothing if the text is no dump.
std::string render_dump(const StallDump& dump);
std::optional<StallDump> parse_dump(const std::string& text);

// The one line for the user, `WHAT; WHERE; do THIS`: who waits where, and which rank to suspect. Suspects are the ranks
// without a dump; else those outside of all collectives while others wait; else those whose sequence number on a common
// communicator is behind; else those in another operation on the same one. `dumps` in rank order, at least one;
// `folder` holds them.
std::string explain_stall(const std::vector<StallDump>& dumps, int size, const std::string& folder);

// "rank 1", "ranks 1, 3 and 5", "ranks 0, 1, ... (8 in all)"
std::string rank_list(const std::vector<int>& ranks);

}  // namespace nexus
