#include "study/study_measures.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/error.h"
#include "report/eval_basis.h"

namespace nexus {
namespace {

// What a run has spent at an evaluation.
double amount_of(RunAmount amount, const FinishedRun& run, size_t row) {
  switch (amount) {
    case RunAmount::kTokens: return static_cast<double>(run.history.evals[row].tokens);
    case RunAmount::kFlops: return run.history.evals[row].flops;
    case RunAmount::kSeconds: return run.seconds[row];
  }
  NX_CHECK(false, "unknown amount");
  return 0;
}

// The loss at x, straight between evaluations in (log x, loss); nothing outside of them.
std::optional<double> loss_at(const FinishedRun& run, RunAmount amount, double x) {
  std::optional<std::pair<double, double>> before;
  for (const EvalRecord* row : comparable_evals(run.history)) {
    const double here = amount_of(amount, run, static_cast<size_t>(row - run.history.evals.data()));
    if (here <= 0) continue;
    if (here == x) return row->loss;
    if (here > x) {
      if (!before) return std::nullopt;
      const double share = std::log(x / before->first) / std::log(here / before->first);
      return before->second + share * (row->loss - before->second);
    }
    before = {here, row->loss};
  }
  return std::nullopt;
}

bool have_same_windows(const std::vector<std::vector<double>>& windows_of_seeds) {
  const size_t count = windows_of_seeds.front().size();
  return count >= 2 &&
         std::ranges::all_of(windows_of_seeds, [&](const std::vector<double>& each) { return each.size() == count; });
}

// `values` of seeds, and each of their windows where these are told.
Measured measured(const std::vector<MeasuredValue>& values, const std::vector<std::vector<double>>& windows_of_seeds) {
  Measured result;
  std::vector<double> plain;
  for (const MeasuredValue& each : values) plain.push_back(each.value);
  result.over_seeds = mean_interval(plain);
  result.exact = have_same_windows(windows_of_seeds);
  result.noise = result.exact ? separate_noise_by_windows(windows_of_seeds) : separate_noise(values);
  if (values.size() == 1 && result.exact) {
    const Interval windows = mean_and_sd(windows_of_seeds.front());
    result.se = windows.sd / std::sqrt(static_cast<double>(windows.n));
  }
  return result;
}

}  // namespace

std::vector<double> seconds_until(const RunHistory& run, double before, const std::vector<int64_t>& tokens) {
  std::vector<double> seconds;
  auto step = run.steps.begin();
  for (const int64_t until : tokens) {
    for (; step != run.steps.end() && step->tokens <= until; ++step) before += step->step_ms / 1000;
    seconds.push_back(before);
  }
  return seconds;
}

Measured losses_of(const ArmRuns& runs) {
  std::vector<MeasuredValue> values;
  std::vector<std::vector<double>> windows;
  for (const auto& [seed, run] : runs.by_seed) {
    values.push_back({run.last().loss, run.last().loss_se});
    windows.push_back(run.last().window_losses);
  }
  return measured(values, windows);
}

Measured differences_at_end(const RunPairs& pairs) {
  std::vector<MeasuredValue> values;
  std::vector<std::vector<double>> windows;
  for (const auto& [run, baseline] : pairs) {
    const EvalRecord &a = run->last(), &b = baseline->last();
    // Without windows: as if the two evaluations were independent, which they are not.
    values.push_back({a.loss - b.loss, std::hypot(a.loss_se, b.loss_se)});
    windows.emplace_back();
    if (a.window_losses.size() != b.window_losses.size()) continue;
    for (size_t w = 0; w < a.window_losses.size(); ++w)
      windows.back().push_back(a.window_losses[w] - b.window_losses[w]);
  }
  return measured(values, windows);
}

Interval difference_at_equal(const RunPairs& pairs, RunAmount amount) {
  std::vector<double> values;
  const auto end_of = [&](const FinishedRun& run) { return amount_of(amount, run, run.history.evals.size() - 1); };
  for (const auto& [run, baseline] : pairs) {
    const double x = std::min(end_of(*run), end_of(*baseline));
    const std::optional<double> a = loss_at(*run, amount, x), b = loss_at(*baseline, amount, x);
    if (!a || !b) return {};
    values.push_back(*a - *b);
  }
  return mean_interval(values);
}

}  // namespace nexus
