#include "optim/schedule.h"

#include <cmath>
#include <numbers>

#include "core/error.h"

namespace nexus {

double Schedule::at(int64_t step) const {
  NX_CHECK(step >= 1 && step <= total_steps, "step {} of {}", step, total_steps);
  if (step <= warmup_steps) return peak * static_cast<double>(step) / static_cast<double>(warmup_steps);
  const int64_t after = step - warmup_steps, length = total_steps - warmup_steps;
  switch (kind) {
    case ScheduleKind::kConstant: return peak;
    case ScheduleKind::kCosine: {
      const double share = static_cast<double>(after) / static_cast<double>(length);
      return min + (peak - min) * 0.5 * (1.0 + std::cos(std::numbers::pi * share));
    }
    case ScheduleKind::kWsd: {
      const int64_t left = total_steps - step;
      if (left >= decay_steps) return peak;
      return min + (peak - min) * static_cast<double>(left) / static_cast<double>(decay_steps);
    }
  }
  return peak;
}

}  // namespace nexus
