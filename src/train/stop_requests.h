// Who may ask a running job to save or to stop: signals, files in the run folder, time limits, a budget
// (docs/reliability.md).
//
// One rank that has seen a request is enough: the trainer agrees on `poll()`'s answer across ranks at each step
// boundary.
#pragma once

#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/run_folder.h"
#include "system/start_signals.h"

namespace nexus {

struct Requests {
  bool stop = false;    // save, then exit with 75
  bool urgent = false;  // a stop that cannot wait for the end of a step or an evaluation: somebody may kill soon
  bool save = false;    // save and go on
};

class StopRequests {
 public:
  // Catches TERM, USR2, USR1, INT and HUP from now on (process-wide); INT and HUP are ignored where they are among
  // `ignored`. The second INT, half a second or more after the first, ends the process at once. Files are looked at by
  // rank 0 only: network file systems answer differently on different nodes.
  StopRequests(RunFolder run, bool is_rank_0, std::optional<double> stop_after_seconds,
               const std::vector<int>& ignored = signals_ignored_at_start());
  ~StopRequests();
  StopRequests(const StopRequests&) = delete;
  StopRequests& operator=(const StopRequests&) = delete;

  // Another reason to stop, asked for by rank 0 at every poll: a few words, or "" while there is none. Signals and the
  // file STOP are urgent; --stop-after is not, so that every launch gets a step done.
  void add_source(bool urgent, std::function<std::string()> reason);

  Requests poll();
  // What this rank's first request to stop was; "" if there was none.
  const std::string& reason() const { return reason_; }
  // Removes CHECKPOINT_NOW once it is served. STOP stays until the run ends: `clear_stop_request`.
  void clear_save_request() const;
  void clear_stop_request() const;

 private:
  struct Source {
    bool urgent;
    std::function<std::string()> reason;  // "": none
  };
  void catch_signals(const std::vector<int>& ignored);
  void look();

  RunFolder run_;
  bool is_rank_0_;
  std::vector<Source> sources_;
  std::vector<std::pair<int, struct sigaction>> former_;
  std::string reason_;
  bool urgent_ = false;
};

}  // namespace nexus
