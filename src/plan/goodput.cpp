#include "plan/goodput.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/units.h"

namespace nexus {
namespace {

void check(const FailureModel& model) {
  NX_CHECK(model.mtbf > 0 && model.save_stop >= 0 && model.save_write >= model.save_stop && model.restart >= 0,
           "no failure model: mtbf {} save_stop {} save_write {} restart {}", model.mtbf, model.save_stop,
           model.save_write, model.restart);
}

// The root x in [0, 1) of (1 - x) exp(x + c) = 1: where the derivative of x / (exp(x + c) - 1) vanishes.
double stationary_share(double c) {
  double low = 0, high = 1;  // the logarithm of the left side falls from c >= 0 to minus infinity
  for (double middle = 0.5; middle > low && middle < high; middle = low + (high - low) / 2)
    (middle + c + std::log1p(-middle) > 0 ? low : high) = middle;
  return low;
}

}  // namespace

double goodput(const FailureModel& model, double interval) {
  check(model);
  NX_CHECK(interval > 0, "interval {} is not positive", interval);
  const double first = interval + model.save_write;
  const double next = std::max(interval + model.save_stop, model.save_write);
  return interval / model.mtbf * std::exp(-(model.restart + first) / model.mtbf) / -std::expm1(-next / model.mtbf);
}

double best_interval(const FailureModel& model) {
  check(model);
  const double free = model.mtbf * stationary_share(model.save_stop / model.mtbf);
  // Below save_write - save_stop every save waits for the one before, and goodput grows with the interval up to mtbf.
  return std::max(free, std::min(model.save_write - model.save_stop, model.mtbf));
}

double young_interval(const FailureModel& model) {
  check(model);
  return std::sqrt(2 * model.save_stop * model.mtbf);
}

double daly_interval(const FailureModel& model) {
  check(model);
  const double ratio = model.save_stop / (2 * model.mtbf);
  if (ratio >= 1) return model.mtbf;
  return young_interval(model) * (1 + std::sqrt(ratio) / 3 + ratio / 9) - model.save_stop;
}

double mtbf_of_job(double node_mtbf_hours, double nodes) {
  NX_CHECK(node_mtbf_hours > 0 && nodes >= 1, "{} nodes of {} hours", nodes, node_mtbf_hours);
  return node_mtbf_hours * kSecondsPerHour / nodes;
}

}  // namespace nexus
