#include "report/compute_split.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "statistics/quantiles.h"

namespace nexus {
namespace {

struct SplitShares {
  double saved, accounting, quality, stage_only;
};

// The last stage that starts at or before `at`; the first where none does.
const StageCost& stage_at(const std::vector<StageCost>& stages, double StageCost::*start, double at) {
  NX_CHECK(!stages.empty(), "no stages");
  const auto starts_after = [&](const StageCost& stage) { return stage.*start > at; };
  const auto after = std::find_if(stages.begin() + 1, stages.end(), starts_after);
  return *std::prev(after);
}

// Compute before the last growth that lies before `flops`; 0 where nothing has grown. A target that is reached at the
// growth itself is the smaller model's, also where exp(log(C)) has rounded upwards.
double before_growth(const std::vector<StageCost>& stages, double flops) {
  constexpr double kRounding = 1e-9;  // far more than exp and log lose, far less than a step of training costs
  double spent = 0;
  for (const StageCost& stage : stages)
    if (stage.grown && stage.start_flops < flops * (1 - kRounding)) spent = stage.start_flops;
  return spent;
}

SplitShares shares_at(const PairOfRuns& pair, double run_flops, double baseline_flops) {
  const double baseline_tokens = tokens_at(pair.baseline.stages, baseline_flops);
  const double run_flops_then = flops_at(pair.run.stages, baseline_tokens);
  const double run_stage = run_flops - before_growth(pair.run.stages, run_flops);
  const double baseline_stage = baseline_flops - before_growth(pair.baseline.stages, baseline_flops);
  return {1 - run_flops / baseline_flops, 1 - run_flops_then / baseline_flops,
          (run_flops_then - run_flops) / baseline_flops, 1 - run_stage / baseline_stage};
}

// The part's interval over the draws of one pair. A draw in which a curve does not cross the target leaves both ends
// open.
void add_evaluation_noise(const PairOfRuns& pair, std::optional<double> target_loss, const BootstrapOptions& options,
                          ComputeSplit& split) {
  constexpr double kOpen = std::numeric_limits<double>::infinity();
  const auto parts = {std::pair{&split.accounting, &SplitShares::accounting},
                      std::pair{&split.quality, &SplitShares::quality},
                      std::pair{&split.stage_only, &SplitShares::stage_only}};
  std::vector<SplitShares> least, most;
  const auto collect = [&](const Curve& run, const Curve& baseline, double target) {
    const Saving drawn = saving_at(run, baseline, target);
    const bool exact = drawn.kind == Saving::Kind::kExact;
    least.push_back(exact ? shares_at(pair, drawn.run.flops, drawn.baseline.flops)
                          : SplitShares{-kOpen, -kOpen, -kOpen, -kOpen});
    most.push_back(exact ? least.back() : SplitShares{kOpen, kOpen, kOpen, kOpen});
  };
  if (!for_each_draw(pair.run.curve, pair.baseline.curve, target_loss, options, collect)) return;
  const double tail = (1 - options.confidence) / 2;
  const auto quantile_of = [](const std::vector<SplitShares>& draws, double SplitShares::*part, double probability) {
    std::vector<double> values;
    for (const SplitShares& draw : draws) values.push_back(draw.*part);
    return quantile(std::move(values), probability);
  };
  for (const auto& [interval, part] : parts) {
    interval->low = quantile_of(least, part, tail);
    interval->high = quantile_of(most, part, 1 - tail);
  }
}

void add_noise(const std::vector<PairOfRuns>& pairs, std::optional<double> target_loss, const BootstrapOptions& options,
               ComputeSplit& split) {
  if (pairs.size() == 1) {
    const Saving saving = compute_saved(pairs[0].run.curve, pairs[0].baseline.curve, target_loss, options);
    split.saved.low = saving.low;
    split.saved.high = saving.high;
    if (split.kind == Saving::Kind::kExact) add_evaluation_noise(pairs[0], target_loss, options, split);
  }
  if (split.saved.has_interval())
    split.noise = pairs.size() == 1 ? ComputeSplit::Noise::kEvaluation : ComputeSplit::Noise::kSeeds;
}

double common_target(const std::vector<PairOfRuns>& pairs) {
  double target = -std::numeric_limits<double>::infinity();
  for (const PairOfRuns& pair : pairs)
    target = std::max({target, best_loss(pair.run.curve), best_loss(pair.baseline.curve)});
  return target;
}

}  // namespace

PricedRun priced_run(const RunHistory& run) {
  PricedRun priced{loss_curve(run), {}};
  for (const StageRecord& stage : run.stages) {
    // A stage without a commit of its own begins where the one before it ended.
    const CommitRecord *own = run.account_of(stage.stage_index), *before = run.account_of(stage.stage_index - 1);
    if (own == nullptr && before == nullptr) return {std::move(priced.curve), {}};
    const double tokens = own != nullptr ? static_cast<double>(own->total_tokens - own->stage_tokens)
                                         : static_cast<double>(before->total_tokens);
    const double flops = own != nullptr ? own->total_flops - own->stage_flops : before->total_flops;
    priced.stages.push_back({tokens, flops, stage.flops_per_token, run.growth_into(stage.stage_index) != nullptr});
  }
  return priced;
}

double flops_at(const std::vector<StageCost>& stages, double tokens) {
  const StageCost& stage = stage_at(stages, &StageCost::start_tokens, tokens);
  if (tokens < stage.start_tokens) return stage.start_flops * tokens / stage.start_tokens;
  return stage.start_flops + (tokens - stage.start_tokens) * stage.flops_per_token;
}

double tokens_at(const std::vector<StageCost>& stages, double flops) {
  const StageCost& stage = stage_at(stages, &StageCost::start_flops, flops);
  if (flops < stage.start_flops) return stage.start_tokens * flops / stage.start_flops;
  return stage.start_tokens + (flops - stage.start_flops) / stage.flops_per_token;
}

ComputeSplit split_saving(const std::vector<PairOfRuns>& pairs, std::optional<double> target_loss,
                          const BootstrapOptions& options) {
  NX_CHECK(!pairs.empty(), "no pairs");
  ComputeSplit split;
  split.target_loss = target_loss ? *target_loss : common_target(pairs);
  std::vector<double> saved, accounting, quality, stage_only;
  bool at_least = false;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const Saving saving = saving_at(pairs[i].run.curve, pairs[i].baseline.curve, split.target_loss);
    const bool priced = !pairs[i].run.stages.empty() && !pairs[i].baseline.stages.empty();
    if (saving.kind == Saving::Kind::kUndetermined || !priced) {
      split.reason = saving.reason.empty() ? "nothing is committed yet" : saving.reason;
      if (pairs.size() > 1) split.reason += fmt::format(" (pair {} of {})", i + 1, pairs.size());
      return split;
    }
    at_least |= saving.kind == Saving::Kind::kAtLeast;
    const SplitShares shares = shares_at(pairs[i], saving.run.flops, saving.baseline.flops);
    saved.push_back(shares.saved);
    accounting.push_back(shares.accounting);
    quality.push_back(shares.quality);
    stage_only.push_back(shares.stage_only);
  }
  split.kind = at_least ? Saving::Kind::kAtLeast : Saving::Kind::kExact;
  const auto over_pairs = [&](const std::vector<double>& values) {
    return at_least ? mean_and_sd(values) : mean_interval(values, options.confidence);
  };
  split.saved = over_pairs(saved);
  split.accounting = over_pairs(accounting);
  split.quality = over_pairs(quality);
  split.stage_only = over_pairs(stage_only);
  add_noise(pairs, target_loss, options, split);
  return split;
}

}  // namespace nexus
