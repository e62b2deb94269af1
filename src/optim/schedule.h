// Learning-rate schedules: pure functions of (schedule, step). Nothing is stored, so resume cannot disturb them.
#pragma once

#include <cstdint>

namespace nexus {

enum class ScheduleKind { kConstant, kCosine, kWsd };  // WSD: warm-up, stable, linear decay (Hu et al. 2024)

struct Schedule {
  ScheduleKind kind = ScheduleKind::kCosine;
  double peak = 6e-4;
  double min = 0;            // reached at the last step (cosine, WSD)
  int64_t warmup_steps = 0;  // linear; step `warmup_steps` has the peak rate
  int64_t decay_steps = 0;   // WSD: length of the final decay
  int64_t total_steps = 1;

  // Rate of step 1..total_steps of a stage. Throws ErrorKind::kInternal outside.
  double at(int64_t step) const;
};

}  // namespace nexus
