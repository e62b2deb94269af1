#include "study/study_plan.h"

#include <fmt/format.h>

#include "config/study.h"
#include "plan/plan.h"
#include "statistics/power.h"

namespace nexus {
namespace {

std::string row(const std::string& arm, size_t runs, double tokens, double flops) {
  return fmt::format("{:<24} {:>5} {:>12.4g} {:>10.3g}\n", arm, runs, tokens, flops);
}

std::string power_text(const StudySpec& study) {
  const size_t seeds = study.seeds.size();
  if (seeds < 2) return "one seed shows no difference: it has no interval\n";
  if (!study.noise) return "for what the seeds can show, set noise to the scatter over seeds of a paired difference\n";
  return fmt::format(
      "{} paired seeds show a difference of {:.4f} with a chance of {:.0f} %, where differences scatter by {}\n", seeds,
      smallest_difference(*study.noise, static_cast<int64_t>(seeds)), 100 * kTestPower, *study.noise);
}

}  // namespace

std::string plan_text(const StudySpec& study) {
  const std::vector<StudyRun> runs = runs_of(study);
  const size_t seeds = study.seeds.size();
  std::string text = fmt::format("{:<24} {:>5} {:>12} {:>10}\n", "arm", "runs", "tokens", "FLOPs");
  double all_tokens = 0, all_flops = 0;
  for (size_t arm = 0; arm < study.arms.size(); ++arm) {
    // The seeds of an arm differ in nothing that counts.
    const Forecast forecast = make_forecast(campaign_of(study, runs[arm * seeds]).spec, static_cast<int>(study.ranks),
                                            planned_device(study.device));
    const double tokens = static_cast<double>(forecast.tokens()) * static_cast<double>(seeds);
    const double flops = forecast.flops() * static_cast<double>(seeds);
    text += row(study.arms[arm].name, seeds, tokens, flops);
    all_tokens += tokens;
    all_flops += flops;
  }
  return text + row("all", runs.size(), all_tokens, all_flops) + power_text(study);
}

}  // namespace nexus
