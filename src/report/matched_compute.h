// Compute saved at matched perplexity (docs/report.md has the definitions for readers).
//
// A run's curve is its validation loss (of text: the logarithm of perplexity) against cumulative training FLOPs,
// ancestors included, straight between evaluations in (log FLOPs, loss). The compute to reach a loss is the
// first crossing of that curve: bumps after a growth or a warm restart do not take back what was reached before, so the
// answer falls monotonically with the target, as a running-minimum envelope's would.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "report/run_reader.h"

namespace nexus {

struct CurvePoint {
  double flops;    // cumulative training FLOPs, > 0
  double loss;     // in the workload's unit
  double loss_se;  // standard error of loss over the validation windows; NaN: unknown
};
using Curve = std::vector<CurvePoint>;  // by flops, ascending

// Evaluations with positive FLOPs and a finite loss that compare with the run's last (eval_basis.h); an untrained model
// has no place on a logarithmic axis.
Curve loss_curve(const RunHistory& run);

struct Crossing {
  enum class Kind {
    kReached,      // flops: where the curve first crosses the target
    kNotReached,   // flops: the curve's end, a lower bound
    kBeforeFirst,  // flops: the curve's first evaluation, an upper bound
    kNoCurve       // no evaluations
  };
  Kind kind = Kind::kNoCurve;
  double flops = 0;
};
Crossing compute_to_reach(const Curve& curve, double loss);

// The least loss of a curve's points, the target that it can reach; infinite where it has none.
double best_loss(const Curve& curve);

struct BootstrapOptions {
  int64_t draws = 2000;
  double confidence = 0.95;
  uint64_t seed = 1;
};

// saved = 1 - C_run / C_baseline at one target.
struct Saving {
  enum class Kind {
    kExact,        // both curves cross the target
    kAtLeast,      // the baseline never reaches it: C_baseline is at least its end
    kUndetermined  // `reason` says why there is no number
  };
  Kind kind = Kind::kUndetermined;
  double target_loss = std::numeric_limits<double>::quiet_NaN();  // NaN: there is none
  Crossing run, baseline;
  double saved = 0, low = 0, high = 0;  // fractions; low may be -infinity ("no lower bound"); both NaN: no interval
  std::string reason;
  bool has_interval() const { return !std::isnan(low) && !std::isnan(high); }
};

// At one target, without an interval.
Saving saving_at(const Curve& run, const Curve& baseline, double target_loss);

// Without `target_loss` the target is the best loss that both reach, max(min run, min baseline), chosen anew in every
// draw.
//
// The interval is a parametric bootstrap over evaluation noise: each draw shifts a whole curve by its standard errors
// times one standard normal, because all evaluations of a run read the same validation windows and so share their
// error. The two runs are shifted independently although they share windows too: the interval is conservative. Draws in
// which a curve does not cross the target enter the lower end with the least and the upper end with the most saving
// that they allow. There is none where some evaluation has no standard error: one window has none. Differences between
// training seeds are *not* in it.
Saving compute_saved(const Curve& run, const Curve& baseline, std::optional<double> target_loss,
                     const BootstrapOptions& options = {});

// The draws of that bootstrap: both curves as each draw's noise shifts them, and its target. Returns false, without
// any, where some evaluation has no standard error.
using DrawUser = std::function<void(const Curve& run, const Curve& baseline, double target_loss)>;
bool for_each_draw(const Curve& run, const Curve& baseline, std::optional<double> target_loss,
                   const BootstrapOptions& options, const DrawUser& use);

// The saving at `points` targets, evenly spaced in loss over the range that both curves cross; empty where there is
// none.
std::vector<Saving> saving_curve(const Curve& run, const Curve& baseline, int64_t points,
                                 const BootstrapOptions& options = {});

}  // namespace nexus
