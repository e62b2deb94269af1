// Every exit code of nexus, in one place: what it says to those who would start it again (docs/reliability.md).
//
// A launcher has codes of its own (128 + n where signal n ended the ranks), so a code that was read may be none of
// these.
#pragma once

namespace nexus {

enum class ExitCode : int {
  kDone = 0,
  kBug = 1,         // of nexus
  kConfig = 2,      // usage or configuration
  kData = 3,        // data or checkpoints are bad
  kNumeric = 4,     // not finite, or a growth that was not sound
  kBudget = 5,      // it is spent, and everything done is committed: raise it first
  kTransient = 74,  // input, output, communication, a hang: another start may mend it
  kStopped = 75,    // stopped cleanly with a checkpoint: run me again
  kHardware = 76,   // suspect: run me again elsewhere
  kFenced = 77,     // a newer copy of this job has taken the run over
  kNoProgress = 93  // starts that commit nothing: a further one is no cure
};

// For `exit` and its like.
constexpr int to_int(ExitCode code) {
  return static_cast<int>(code);
}

}  // namespace nexus
