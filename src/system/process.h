// Runs another program: Slurm's commands, a version query, a script that draws. Never through a shell: no argument can
// run as one.
#pragma once

#include <string>
#include <vector>

namespace nexus {

struct ProcessResult {
  int code = 0;                // of the program; 128 + n if signal n ended it
  bool found = true;           // false: there is no such program
  bool timed_out = false;      // it was killed
  std::string output, errors;  // what it wrote, 1 MiB of each at most
  bool ok() const { return found && !timed_out && code == 0; }
  std::string first_line() const;  // of the output, or else of the errors
};

// `arguments[0]` is looked up in PATH; the program reads nothing. Waits for it, `timeout_seconds` at most (may be
// infinite). Throws ErrorKind::kIo only where the system cannot start a process at all.
ProcessResult run_process(const std::vector<std::string>& arguments, double timeout_seconds);

// Where this program lies, links resolved; empty where there is no /proc.
std::string own_program();

}  // namespace nexus
