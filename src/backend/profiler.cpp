#include "backend/profiler.h"

namespace nexus {

Profiler::Profiler(Backend& backend) : backend_(backend) {
  backend_.set_observer(this);
}

Profiler::~Profiler() {
  backend_.set_observer(nullptr);
}

void Profiler::before() {
  from_ = backend_.mark();
}

void Profiler::after(const Cost& cost) {
  pending_.push_back({cost, from_, backend_.mark()});
  if (pending_.size() == kMostPending) collect();
}

void Profiler::collect() {
  for (const Pending& call : pending_) {
    Family& family = families_[call.cost.family];
    family.seconds += backend_.seconds_between(call.from, call.to);
    family.flops += call.cost.flops;
    family.bytes += call.cost.bytes;
    ++family.calls;
  }
  pending_.clear();
}

const std::map<std::string, Profiler::Family>& Profiler::families() {
  collect();
  return families_;
}

Profiler::Family Profiler::sum_of(std::initializer_list<const char*> names) {
  Family sum;
  for (const char* name : names) {
    const auto found = families().find(name);
    if (found == families_.end()) continue;
    sum.seconds += found->second.seconds;
    sum.flops += found->second.flops;
    sum.bytes += found->second.bytes;
    sum.calls += found->second.calls;
  }
  return sum;
}

void Profiler::reset() {
  pending_.clear();
  families_.clear();
}

}  // namespace nexus
