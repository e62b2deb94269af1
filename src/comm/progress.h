// What this process is doing, for those who must explain why it stopped doing it (comm/watchdog.h).
//
// The main thread reports its phase, its collectives and signs of life; any thread may read. One record per process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace nexus::progress {

// Which time limit of the watchdog holds: from the start of the program until a first step is done (reading files,
// compiling kernels, first touch of memory) or later.
enum class PhaseKind { kStart, kSteps };

// "start", "stage s240 step 12", ...: a sign of life.
void begin_phase(PhaseKind kind, const std::string& text);

// A phase within a phase ("evaluating", "saving"): the former text comes back at the end. The kind stays.
class Phase {
 public:
  explicit Phase(const std::string& text);
  ~Phase();
  Phase(const Phase&) = delete;
  Phase& operator=(const Phase&) = delete;

 private:
  std::string former_;
};

// A sign of life from work that makes no collective call for long: a micro-batch, a block of a file. Costs one clock
// read.
void tick();

struct Operation {
  std::string name;          // "reduce_scatter"; empty before the first collective
  std::string communicator;  // "dp"
  int first_rank = 0;        // world rank of the communicator's rank 0: tells the groups of one name apart
  int64_t sequence = 0;      // number of this operation on its communicator, from 1
  int64_t elements = 0;      // bytes where `type` is "byte"
  std::string type;          // "f32"
};

// The collectives of one communicator, numbered. Ranks that disagree on the number disagree on the program's order.
class Channel {
 public:
  Channel(const std::string& communicator, int first_rank, int size);
  // Counts a collective that begins now: a sign of life.
  Operation next(std::string_view name, int64_t elements, std::string_view type);

  struct State {
    std::string communicator;
    int first_rank = 0, size = 1;
    int64_t sequence = 0;
  };

 private:
  std::shared_ptr<State> state_;
};

// While it lives, the main thread is inside `operation`. Both ends are signs of life.
class Inside {
 public:
  explicit Inside(const Operation& operation);
  ~Inside();
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
};

// Collectives that a device carries out while the main thread goes on. `running` tells the one that the device is in;
// any thread may call it, at any time, and it must not block. While the main thread is inside none itself, it counts as
// inside that one. One device per process; an empty function ends it.
void watch_device(std::function<std::optional<Operation>()> running);

struct Snapshot {
  PhaseKind kind = PhaseKind::kStart;
  std::string phase;
  Operation operation;  // the present one if `inside`, else the last one
  bool inside = false;
  double operation_seconds = 0;          // since the main thread last entered or left one
  std::vector<Channel::State> channels;  // of all living communicators, in order of their making
};
Snapshot snapshot();

// Time of the last sign of life, by the steady clock (system/clock.h).
double last_sign();

}  // namespace nexus::progress
