// Ends a job that has stopped making progress, and says who held it up.
//
// A rank that waits in a collective for a rank that is dead, stopped or busy elsewhere waits forever, at full price.
// The watchdog is a thread of every rank that looks at the rank's signs of life (comm/progress.h). When there was none
// for the limit it writes FOLDER/rank<R>.txt: phase, operation, stack of the main thread. That also asks the other
// ranks for their dumps. The lowest rank with a dump reads all of them, prints one line on stderr and calls
// `on_timeout`; then every rank runs its abort hooks (comm/abort_hooks.h), for some seconds at most, and leaves by
// _exit(74). MPI is not touched: it may be what hangs. mpirun, or `srun --kill-on-bad-exit`, ends the ranks that cannot
// leave by themselves.
#pragma once

#include <functional>
#include <memory>
#include <string>

namespace nexus {

struct WatchdogOptions {
  std::string folder;  // for the dumps; of this job alone, seen by all its ranks. Made when there is something to write
  int rank = 0, size = 1;    // in the world
  double start_seconds = 0;  // limit during PhaseKind::kStart; 0: none
  double step_seconds = 0;   // limit during PhaseKind::kSteps; 0: none
  // Gets the line without its "nexus: error: ", on the one rank that prints it, from the watchdog's thread; the main
  // thread hangs meanwhile, so do not wait for anything it may hold.
  std::function<void(const std::string&)> on_timeout;
};

// Watches the thread that makes it; one per process at a time. Time during which the whole process was stopped
// (SIGSTOP, a suspended machine) does not count. Two limits of 0 switch it off.
class Watchdog {
 public:
  explicit Watchdog(WatchdogOptions options);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nexus
