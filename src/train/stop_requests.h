// Who may ask a running job to save or to stop: signals, files in the run folder, time limits, a budget (interface.md
// sections 4 and 6).
//
// One rank that has seen a request is enough: the trainer agrees on `poll()`'s answer across ranks at each step
// boundary.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/run_folder.h"

namespace nexus {

struct Requests {
  bool stop = false;  // save, then exit with 75
  bool save = false;  // save and go on
};

class StopRequests {
 public:
  // Catches SIGUSR2 and SIGTERM from now on (process-wide). Files are looked at by rank 0 only: network file systems
  // answer differently on different nodes.
  StopRequests(RunFolder run, bool is_rank_0, std::optional<double> stop_after_seconds);
  ~StopRequests();
  StopRequests(const StopRequests&) = delete;
  StopRequests& operator=(const StopRequests&) = delete;

  // Another reason to stop, asked for by rank 0 at every poll: a few words, or "" while there is none.
  void add_source(std::function<std::string()> reason);

  Requests poll();
  // What this rank's first request to stop was; "" if there was none.
  const std::string& reason() const { return reason_; }
  // Removes CHECKPOINT_NOW once it is served. STOP stays until the run ends: `clear_stop_request`.
  void clear_save_request() const;
  void clear_stop_request() const;

 private:
  std::string find_reason() const;

  RunFolder run_;
  bool is_rank_0_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  std::vector<std::function<std::string()>> sources_;
  std::string reason_;
};

}  // namespace nexus
