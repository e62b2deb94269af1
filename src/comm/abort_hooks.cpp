#include "comm/abort_hooks.h"

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

#include "system/clock.h"

namespace nexus {
namespace {

using Seconds = std::chrono::duration<double>;

struct Registry {
  std::timed_mutex mutex;  // never released again once hooks run
  std::map<int64_t, std::function<void()>> hooks;
  int64_t last_id = 0;
};

// Never destroyed: the process may leave while static objects die.
Registry& registry() {
  static auto* instance = new Registry;
  return *instance;
}

class Countdown {
 public:
  explicit Countdown(size_t count) : left_(count) {}
  void one_done() {
    const std::lock_guard lock(mutex_);
    --left_;
    changed_.notify_all();
  }
  void wait_for(double seconds) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, Seconds(seconds), [this] { return left_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t left_;
};

void run_quietly(const std::function<void()>& hook) {
  try {
    hook();
  } catch (...) {  // the process leaves for another reason, which has been told
  }
}

}  // namespace

AbortHook::~AbortHook() {
  if (id_ == 0) return;
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  r.hooks.erase(id_);
}

AbortHook add_abort_hook(std::function<void()> hook) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  r.hooks.emplace(++r.last_id, std::move(hook));
  return AbortHook(r.last_id);
}

bool run_abort_hooks(double patience_seconds) {
  const double deadline = steady_seconds() + patience_seconds;
  Registry& r = registry();
  if (!r.mutex.try_lock_for(Seconds(patience_seconds)))
    return true;  // another thread's hooks have had their time meanwhile
  if (r.hooks.empty()) {
    r.mutex.unlock();
    return false;
  }
  auto* countdown = new Countdown(r.hooks.size());  // never deleted: hooks that hang hold on to it
  try {
    for (const auto& [id, hook] : r.hooks)
      std::thread([&hook = hook, countdown] {
        run_quietly(hook);
        countdown->one_done();
      }).detach();
  } catch (const std::system_error&) {  // no more threads to be had: the others run
  }
  countdown->wait_for(deadline - steady_seconds());
  return true;
}

}  // namespace nexus
