// Progress of long work: a bar with the time left on a terminal (unless the variable NO_PROGRESS is set), a plain line
// every `interval_seconds` elsewhere. The log's rank speaks (core/log.h).
#pragma once

#include <cstdint>
#include <string>

namespace nexus {

class Progress {
 public:
  // `unit` names what is counted ("bytes", "tokens", "steps"); total <= 0 means unknown.
  Progress(std::string label, int64_t total, std::string unit, double interval_seconds = 10.0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void update(int64_t done);
  // Ends the bar; called by the destructor otherwise.
  void finish();

 private:
  void draw(double now_seconds, bool last);
  std::string label_, unit_;
  int64_t total_, done_ = 0;
  double interval_seconds_, start_seconds_, last_seconds_;
  bool terminal_, finished_ = false;
};

}  // namespace nexus
