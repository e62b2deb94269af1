// The stack of a thread that hangs, taken from another thread.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <string>
#include <vector>

namespace nexus {

// Probes the thread that makes it, by a real-time signal (SIGRTMIN + 3) whose handler only stores return addresses. One
// per process at a time. Names of functions need exported symbols (ENABLE_EXPORTS of the executable); without them a
// frame is OBJECT+OFFSET, which `addr2line -Cfe OBJECT OFFSET` turns into a name.
class StackProbe {
 public:
  StackProbe();
  ~StackProbe();
  StackProbe(const StackProbe&) = delete;
  StackProbe& operator=(const StackProbe&) = delete;

  // One line per frame, innermost first. From another thread. Empty if the thread does not answer within
  // `patience_seconds`: it is stopped, or sleeps in the kernel and cannot be interrupted.
  std::vector<std::string> take(double patience_seconds);

 private:
  pthread_t thread_;
  struct sigaction former_ {};
};

}  // namespace nexus
