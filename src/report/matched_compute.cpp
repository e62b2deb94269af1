#include "report/matched_compute.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/rng.h"
#include "report/eval_basis.h"
#include "statistics/quantiles.h"

namespace nexus {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool has_errors(const Curve& curve) {
  return std::all_of(curve.begin(), curve.end(), [](const CurvePoint& point) { return std::isfinite(point.loss_se); });
}

Curve shifted(const Curve& curve, double standard_errors) {
  Curve result = curve;
  for (CurvePoint& point : result) point.loss += standard_errors * point.loss_se;
  return result;
}

// The least and the most saving that two crossings allow, known only to lie beyond a curve's ends where it does not
// cross.
double least_saving(const Crossing& run, const Crossing& baseline) {
  using Kind = Crossing::Kind;
  if (run.kind == Kind::kNotReached || baseline.kind == Kind::kBeforeFirst) return -kInfinity;
  return 1.0 - run.flops / baseline.flops;
}

double most_saving(const Crossing& run, const Crossing& baseline) {
  using Kind = Crossing::Kind;
  if (run.kind == Kind::kBeforeFirst || baseline.kind == Kind::kNotReached) return 1.0;
  return 1.0 - run.flops / baseline.flops;
}

void add_interval(const Curve& run, const Curve& baseline, std::optional<double> target_loss,
                  const BootstrapOptions& options, Saving& saving) {
  std::vector<double> least, most;
  const auto collect = [&](const Curve& a, const Curve& b, double target) {
    const Crossing run_crossing = compute_to_reach(a, target);
    const Crossing baseline_crossing = compute_to_reach(b, target);
    least.push_back(least_saving(run_crossing, baseline_crossing));
    most.push_back(most_saving(run_crossing, baseline_crossing));
  };
  if (!for_each_draw(run, baseline, target_loss, options, collect)) return;
  const double tail = (1.0 - options.confidence) / 2;
  saving.low = quantile(std::move(least), tail);
  saving.high = quantile(std::move(most), 1.0 - tail);
}

std::string reason_without_number(const Crossing& run, const Crossing& baseline) {
  using Kind = Crossing::Kind;
  if (run.kind == Kind::kNoCurve || baseline.kind == Kind::kNoCurve) return "no evaluations";
  if (run.kind == Kind::kNotReached && baseline.kind == Kind::kNotReached) return "not reached by either run";
  if (run.kind == Kind::kNotReached) return "not reached";
  if (run.kind == Kind::kBeforeFirst) return "reached before the first evaluation";
  if (baseline.kind == Kind::kBeforeFirst) return "baseline reached it before its first evaluation";
  return "";
}

}  // namespace

Curve loss_curve(const RunHistory& run) {
  Curve curve;
  for (const EvalRecord* row : comparable_evals(run))
    if (row->flops > 0 && std::isfinite(row->loss)) curve.push_back({row->flops, row->loss, row->loss_se});
  std::stable_sort(curve.begin(), curve.end(),
                   [](const CurvePoint& a, const CurvePoint& b) { return a.flops < b.flops; });
  return curve;
}

Crossing compute_to_reach(const Curve& curve, double loss) {
  if (curve.empty()) return {Crossing::Kind::kNoCurve, 0};
  if (curve.front().loss < loss) return {Crossing::Kind::kBeforeFirst, curve.front().flops};
  if (curve.front().loss == loss) return {Crossing::Kind::kReached, curve.front().flops};
  for (size_t i = 1; i < curve.size(); ++i) {
    const CurvePoint &above = curve[i - 1], &below = curve[i];
    if (below.loss > loss) continue;
    const double share = (above.loss - loss) / (above.loss - below.loss);
    const double log_flops = std::lerp(std::log(above.flops), std::log(below.flops), share);
    return {Crossing::Kind::kReached, std::exp(log_flops)};
  }
  return {Crossing::Kind::kNotReached, curve.back().flops};
}

double best_loss(const Curve& curve) {
  double best = kInfinity;
  for (const CurvePoint& point : curve) best = std::min(best, point.loss);
  return best;
}

bool for_each_draw(const Curve& run, const Curve& baseline, std::optional<double> target_loss,
                   const BootstrapOptions& options, const DrawUser& use) {
  NX_CHECK(options.draws > 0, "draws {}", options.draws);
  if (!has_errors(run) || !has_errors(baseline)) return false;
  const RandomStream run_noise(options.seed, "report.bootstrap.run");
  const RandomStream baseline_noise(options.seed, "report.bootstrap.baseline");
  for (uint64_t i = 0; i < static_cast<uint64_t>(options.draws); ++i) {
    const Curve a = shifted(run, run_noise.normal(i));
    const Curve b = shifted(baseline, baseline_noise.normal(i));
    use(a, b, target_loss ? *target_loss : std::max(best_loss(a), best_loss(b)));
  }
  return true;
}

Saving saving_at(const Curve& run, const Curve& baseline, double target_loss) {
  Saving saving;
  saving.target_loss = target_loss;
  saving.run = compute_to_reach(run, target_loss);
  saving.baseline = compute_to_reach(baseline, target_loss);
  saving.reason = reason_without_number(saving.run, saving.baseline);
  if (!saving.reason.empty()) return saving;
  const bool baseline_reached = saving.baseline.kind == Crossing::Kind::kReached;
  saving.kind = baseline_reached ? Saving::Kind::kExact : Saving::Kind::kAtLeast;
  saving.saved = 1.0 - saving.run.flops / saving.baseline.flops;
  saving.low = saving.high = std::numeric_limits<double>::quiet_NaN();
  return saving;
}

Saving compute_saved(const Curve& run, const Curve& baseline, std::optional<double> target_loss,
                     const BootstrapOptions& options) {
  if (run.empty() || baseline.empty()) {
    Saving none;
    none.reason = "no evaluations";
    return none;
  }
  Saving saving = saving_at(run, baseline, target_loss ? *target_loss : std::max(best_loss(run), best_loss(baseline)));
  if (saving.kind != Saving::Kind::kUndetermined) add_interval(run, baseline, target_loss, options, saving);
  return saving;
}

std::vector<Saving> saving_curve(const Curve& run, const Curve& baseline, int64_t points,
                                 const BootstrapOptions& options) {
  std::vector<Saving> result;
  if (run.empty() || baseline.empty() || points < 2) return result;
  const double highest = std::min(run.front().loss, baseline.front().loss);
  const double lowest = std::max(best_loss(run), best_loss(baseline));
  if (lowest >= highest) return result;
  for (int64_t i = 0; i < points; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(points - 1);
    result.push_back(compute_saved(run, baseline, std::lerp(highest, lowest, share), options));
  }
  return result;
}

}  // namespace nexus
