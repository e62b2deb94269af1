#include "study/study_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "config/study.h"
#include "core/error.h"
#include "core/files.h"
#include "core/run_folder.h"
#include "plan/plan.h"
#include "report/run_reader.h"
#include "statistics/power.h"

namespace nexus {
namespace {

// Of one run, over its own stages.
struct RunCost {
  double tokens = 0, flops = 0;
  std::optional<double> seconds;
};

// `cost` of so many of the `runs`.
std::string row(const std::string& arm, size_t runs, size_t times, const RunCost& cost) {
  const auto n = static_cast<double>(times);
  const std::string hours = cost.seconds ? fmt::format("{:.3g}", n * *cost.seconds / 3600) : "-";
  return fmt::format("{:<24} {:>5} {:>12.4g} {:>10.3g} {:>8}\n", arm, runs, n * cost.tokens, n * cost.flops, hours);
}

// FLOPs a second that steps of the study's runs have reached. A launch's first step, which warms up, counts as well.
std::optional<double> measured_speed(const std::vector<StudyRun>& runs) {
  double flops = 0, seconds = 0;
  for (const StudyRun& run : runs) {
    if (!path_exists(RunFolder{run.folder}.metrics())) continue;
    std::vector<StepRecord> steps;
    try {
      steps = read_run(run.folder).steps;
    } catch (const Error&) {
      continue;  // the plan can do without
    }
    for (size_t i = 1; i < steps.size(); ++i) {
      flops += steps[i].flops - steps[i - 1].flops;
      seconds += steps[i].step_ms / 1000;
    }
  }
  if (flops <= 0 || seconds <= 0) return std::nullopt;
  return flops / seconds;
}

class CostOfRuns {
 public:
  CostOfRuns(const StudySpec& study, const std::vector<StudyRun>& runs, std::optional<double> mfu)
      : study_(study), mfu_(mfu), measured_(mfu ? std::nullopt : measured_speed(runs)) {}

  RunCost of(const StudyRun& run) const {
    const CampaignSpec spec = campaign_of(study_, run).spec;
    const Forecast forecast = make_forecast(spec, static_cast<int>(study_.ranks), planned_device(study_.device));
    RunCost cost{static_cast<double>(forecast.tokens()), forecast.flops(), std::nullopt};
    if (mfu_ && !spec.account.peak_tflops)
      throw Error(ErrorKind::kConfig, "the peak of a rank is not known", "--mfu", "set account.peak_tflops");
    if (mfu_)
      cost.seconds = cost.flops / (*mfu_ * *spec.account.peak_tflops * 1e12 * static_cast<double>(study_.ranks));
    else if (measured_)
      cost.seconds = cost.flops / *measured_;
    return cost;
  }

  std::string basis() const {
    if (mfu_) return fmt::format("at {:.3g} of the peak", *mfu_);
    return fmt::format("at {:.3g} FLOP/s, as the study's runs so far", *measured_);
  }

 private:
  const StudySpec& study_;
  std::optional<double> mfu_, measured_;
};

std::string power_text(const StudySpec& study) {
  const size_t seeds = study.seeds.size();
  if (seeds < 2) return "one seed shows no difference: it has no interval\n";
  if (!study.noise) return "for what the seeds can show, set noise to the scatter over seeds of a paired difference\n";
  return fmt::format(
      "{} paired seeds show a difference of {:.4f} with a chance of {:.0f} %, where differences scatter by {}\n", seeds,
      smallest_difference(*study.noise, static_cast<int64_t>(seeds)), 100 * kTestPower, *study.noise);
}

// `of_arms`: what a run of each costs.
std::string time_text(const StudySpec& study, const CostOfRuns& costs, const std::vector<RunCost>& of_arms) {
  double all = 0, longest = 0;
  std::vector<double> until_end(of_arms.size());
  for (size_t arm = 0; arm < of_arms.size(); ++arm) {
    if (!of_arms[arm].seconds) return "for hours, give --mfu, or run a part of the study first\n";
    all += *of_arms[arm].seconds * static_cast<double>(study.seeds.size());
    const std::optional<size_t> parent = study.arms[arm].parent;
    until_end[arm] = *of_arms[arm].seconds + (parent ? until_end[*parent] : 0);
    longest = std::max(longest, until_end[arm]);
  }
  const double wall = std::max(longest, all / static_cast<double>(study.at_once));
  return fmt::format("at least {:.3g} hours with {} at a time, without evaluations and saves, {}\n", wall / 3600,
                     study.at_once, costs.basis());
}

}  // namespace

std::string plan_text(const StudySpec& study, std::optional<double> mfu) {
  const std::vector<StudyRun> runs = runs_of(study);
  const size_t seeds = study.seeds.size();
  const CostOfRuns costs(study, runs, mfu);
  std::string text = fmt::format("{:<24} {:>5} {:>12} {:>10} {:>8}\n", "arm", "runs", "tokens", "FLOPs", "hours");
  std::vector<RunCost> of_arms;
  RunCost all{0, 0, 0.0};
  for (size_t arm = 0; arm < study.arms.size(); ++arm) {
    // The seeds of an arm differ in nothing that counts.
    const RunCost& cost = of_arms.emplace_back(costs.of(runs[arm * seeds]));
    text += row(study.arms[arm].name, seeds, seeds, cost);
    const auto n = static_cast<double>(seeds);
    all.tokens += n * cost.tokens;
    all.flops += n * cost.flops;
    all.seconds = all.seconds && cost.seconds ? std::optional(*all.seconds + n * *cost.seconds) : std::nullopt;
  }
  text += row("all", runs.size(), 1, all);
  return text + time_text(study, costs, of_arms) + power_text(study);
}

}  // namespace nexus
