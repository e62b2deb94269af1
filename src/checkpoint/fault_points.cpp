#include "checkpoint/fault_points.h"

#include <utility>

namespace nexus {
namespace {

FaultHook& hook_slot() {
  static FaultHook slot;
  return slot;
}

}  // namespace

void set_fault_hook(FaultHook hook) {
  hook_slot() = std::move(hook);
}

void fault_point(std::string_view point) {
  if (hook_slot()) hook_slot()(point);
}

}  // namespace nexus
