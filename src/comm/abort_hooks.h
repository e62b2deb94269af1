// What must be let go of before this process leaves without unwinding.
//
// The watchdog ends a job that hangs by _exit: no destructor runs, because one of them may be what hangs. Resources
// that hold other processes up, such as communicators between devices, register here how to let go of them by force.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

namespace nexus {

// The registration of a hook. Its destructor removes the hook; once hooks have run, the process is about to leave, and
// the destructor does not return.
class AbortHook {
 public:
  AbortHook() = default;
  ~AbortHook();
  AbortHook(AbortHook&& other) noexcept : id_(std::exchange(other.id_, 0)) {}
  AbortHook& operator=(AbortHook&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }

 private:
  friend AbortHook add_abort_hook(std::function<void()> hook);
  explicit AbortHook(int64_t id) : id_(id) {}
  int64_t id_ = 0;  // 0: none
};

// `hook` runs at most once, on a thread of its own, while the main thread may be anywhere, and may hang. What it throws
// is ignored.
[[nodiscard]] AbortHook add_abort_hook(std::function<void()> hook);

// Runs all hooks at once and waits until they are done, for `patience_seconds` at most. The caller then leaves by
// _exit. A second call only waits. False if there are no hooks.
bool run_abort_hooks(double patience_seconds);

}  // namespace nexus
