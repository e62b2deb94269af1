#include "comm/progress.h"

#include <atomic>
#include <mutex>
#include <utility>

#include "system/clock.h"

namespace nexus::progress {
namespace {

struct Record {
  std::atomic<double> last_sign{steady_seconds()};
  std::mutex mutex;  // guards what follows, and every Channel::State
  PhaseKind kind = PhaseKind::kStart;
  std::string phase = "start";
  Operation operation;
  bool inside = false;
  double operation_time = steady_seconds();
  std::vector<std::weak_ptr<Channel::State>> channels;
  std::function<std::optional<Operation>()> running_on_device;
};

// Never destroyed: the watchdog's threads may read it while static objects die.
Record& record() {
  static auto* instance = new Record;
  return *instance;
}

std::string exchange_phase(std::string text) {
  Record& r = record();
  tick();
  const std::lock_guard lock(r.mutex);
  return std::exchange(r.phase, std::move(text));
}

}  // namespace

void tick() {
  record().last_sign.store(steady_seconds(), std::memory_order_relaxed);
}

double last_sign() {
  return record().last_sign.load(std::memory_order_relaxed);
}

void begin_phase(PhaseKind kind, const std::string& text) {
  Record& r = record();
  tick();
  const std::lock_guard lock(r.mutex);
  r.kind = kind;
  r.phase = text;
}

Phase::Phase(const std::string& text) : former_(exchange_phase(text)) {}

Phase::~Phase() {
  exchange_phase(std::move(former_));
}

Channel::Channel(const std::string& communicator, int first_rank, int size)
    : state_(std::make_shared<State>(State{communicator, first_rank, size, 0})) {
  Record& r = record();
  const std::lock_guard lock(r.mutex);
  std::erase_if(r.channels, [](const std::weak_ptr<State>& channel) { return channel.expired(); });
  r.channels.push_back(state_);
}

Operation Channel::next(std::string_view name, int64_t elements, std::string_view type) {
  Record& r = record();
  tick();
  const std::lock_guard lock(r.mutex);
  r.operation = {std::string(name), state_->communicator, state_->first_rank, ++state_->sequence,
                 elements,          std::string(type)};
  r.inside = false;
  r.operation_time = steady_seconds();
  return r.operation;
}

Inside::Inside(const Operation& operation) {
  Record& r = record();
  tick();
  const std::lock_guard lock(r.mutex);
  r.operation = operation;
  r.inside = true;
  r.operation_time = steady_seconds();
}

Inside::~Inside() {
  Record& r = record();
  tick();
  const std::lock_guard lock(r.mutex);
  r.inside = false;
  r.operation_time = steady_seconds();
}

void watch_device(std::function<std::optional<Operation>()> running) {
  Record& r = record();
  const std::lock_guard lock(r.mutex);
  r.running_on_device = std::move(running);
}

Snapshot snapshot() {
  Record& r = record();
  const std::lock_guard lock(r.mutex);
  Snapshot result;
  result.kind = r.kind;
  result.phase = r.phase;
  result.operation = r.operation;
  result.inside = r.inside;
  result.operation_seconds = steady_seconds() - r.operation_time;
  if (!r.inside && r.running_on_device)
    if (const std::optional<Operation> running = r.running_on_device()) {
      result.operation = *running;
      result.inside = true;
    }
  for (const std::weak_ptr<Channel::State>& channel : r.channels)
    if (const auto state = channel.lock()) result.channels.push_back(*state);
  return result;
}

}  // namespace nexus::progress
