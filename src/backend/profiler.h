// What a back end does, by families of operations: calls, FLOPs, bytes, and the time that they take. For `nexus bench
// step`; on the dry back end for forecasts.
//
// Every operation stands between two marks of the back end, which are read later: an asynchronous device is not held
// up, and what happens between operations (collectives, the host's own work) is in no family.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace nexus {

class Profiler final : public OperationObserver {
 public:
  struct Family {
    double seconds = 0, flops = 0, bytes = 0;
    int64_t calls = 0;
  };

  // Observes until its end; the back end must outlive it.
  explicit Profiler(Backend& backend);
  ~Profiler() override;
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  // By the names of Cost::family. Waits for what is under way.
  const std::map<std::string, Family>& families();
  // Of one family, which may have had no call, or of several.
  Family sum_of(std::initializer_list<const char*> names);
  void reset();

  void before() override;
  void after(const Cost& cost) override;

 private:
  struct Pending {
    Cost cost;
    Mark from, to;
  };
  static constexpr size_t kMostPending = size_t{1} << 16;  // a mark holds an event of the device

  void collect();

  Backend& backend_;
  Mark from_;
  std::vector<Pending> pending_;
  std::map<std::string, Family> families_;
};

}  // namespace nexus
