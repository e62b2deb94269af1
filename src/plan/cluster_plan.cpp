#include "plan/cluster_plan.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/units.h"

namespace nexus {
namespace {

// A warning is worth its line where another interval would make this share more of the same hours.
constexpr double kFarFromBest = 0.01;

[[noreturn]] void fail(const std::string& what, const std::string& where, const std::string& todo) {
  throw Error(ErrorKind::kConfig, what, where, todo);
}

class ClusterPlanner {
 public:
  ClusterPlanner(const CampaignSpec& spec, const ClusterSpec& cluster, const Forecast& forecast,
                 const MeasuredSpeed& speed)
      : spec_(spec), cluster_(cluster), forecast_(forecast), speed_(speed) {}

  ClusterPlan plan() {
    check_speed();
    plan_.cluster = cluster_.name;
    plan_.short_unit = forecast_.words.short_unit;
    plan_.ranks = forecast_.ranks;
    plan_.ranks_per_node = cluster_.ranks_per_node();
    plan_.nodes = (plan_.ranks + plan_.ranks_per_node - 1) / plan_.ranks_per_node;
    plan_.jobs = spec_.slurm.chain == SlurmSpec::Chain::kStages ? static_cast<int64_t>(spec_.stages.size()) : 1;
    for (const double limit : {spec_.slurm.time_seconds, cluster_.max_time_seconds})
      if (limit > 0) plan_.limit_seconds = std::min(limit, plan_.limit_seconds.value_or(limit));
    if (cluster_.node_mtbf_hours)
      plan_.job_mtbf_seconds = mtbf_of_job(*cluster_.node_mtbf_hours, static_cast<double>(plan_.nodes));
    for (size_t i = 0; i < forecast_.stages.size(); ++i) plan_.stages.push_back(plan_stage(i));
    note_missing();
    compare_with_budget();
    return std::move(plan_);
  }

 private:
  void check_speed() const {
    const size_t rates = speed_.tokens_per_second.size();
    if (rates > 1 && rates != spec_.stages.size())
      fail(fmt::format("{} rates for {} stages", rates, spec_.stages.size()), "--tok-per-s",
           "give one, or one for each stage");
    for (const double rate : speed_.tokens_per_second)
      if (!(rate > 0))
        fail("a rate must be above 0", "--tok-per-s", "give " + forecast_.words.unit + " per second of the whole job");
    if (rates > 0 && speed_.mfu) fail("the speed is given twice", "--tok-per-s and --mfu", "remove one of the two");
    if (speed_.mfu && !(*speed_.mfu > 0 && *speed_.mfu <= 1))
      fail(fmt::format("{} is no share of the peak", *speed_.mfu), "--mfu", "give a number above 0 and at most 1");
    if (speed_.mfu && !spec_.account.peak_tflops)
      fail("the peak of a rank is not known", "--mfu", "set account.peak_tflops, or use --tok-per-s");
    if (!speed_.save_stop) return;
    if (!spec_.checkpoint.async)
      fail("saves stop training for all of the write where checkpoint.async is false", "--save-stop", "remove it");
    if (!(*speed_.save_stop >= 0)) fail("a time cannot be negative", "--save-stop", "give seconds");
  }

  std::optional<double> rate_of(size_t index) const {
    if (speed_.mfu)
      return *speed_.mfu * *spec_.account.peak_tflops * 1e12 * forecast_.ranks /
             forecast_.stages[index].flops_per_token;
    if (speed_.tokens_per_second.empty()) return std::nullopt;
    return speed_.tokens_per_second[speed_.tokens_per_second.size() > 1 ? index : 0];
  }

  StageOnCluster plan_stage(size_t index) {
    const StageForecast& forecast = forecast_.stages[index];
    StageOnCluster stage;
    stage.name = forecast.name;
    stage.checkpoint_bytes = forecast.checkpoint_bytes;
    stage.tokens_per_second = rate_of(index);
    if (stage.tokens_per_second)
      stage.training_hours = static_cast<double>(forecast.tokens) / *stage.tokens_per_second / kSecondsPerHour;
    if (cluster_.storage_bytes_per_second) {
      stage.stop_seconds = static_cast<double>(stage.checkpoint_bytes) / *cluster_.storage_bytes_per_second;
      stage.write_seconds = std::max(*stage.stop_seconds, speed_.save_stop.value_or(0));
      if (speed_.save_stop) stage.stop_seconds = speed_.save_stop;
    }
    choose_interval(stage);
    count_time(stage);
    count_cost(stage);
    return stage;
  }

  // Seconds of training between saves; nothing where the rate decides and is not known.
  std::optional<double> own_interval(const StageOnCluster& stage) const {
    const Period& every = spec_.checkpoint.every;
    std::optional<double> seconds, whole;
    if (every.unit == Period::Unit::kSeconds) seconds = every.value;
    if (stage.tokens_per_second) {
      whole = *stage.training_hours * kSecondsPerHour;
      const double per_token = 1 / *stage.tokens_per_second;
      if (every.unit == Period::Unit::kTokens) seconds = every.value * per_token;
      if (every.unit == Period::Unit::kSteps)
        seconds = every.value * static_cast<double>(forecast_.global_tokens) * per_token;
      seconds = std::min(seconds.value_or(*whole), *whole);  // the end of a stage is saved
    }
    return seconds;
  }

  void choose_interval(StageOnCluster& stage) {
    if (const auto seconds = own_interval(stage)) stage.own = IntervalForecast{*seconds, {}};
    if (!plan_.job_mtbf_seconds || !stage.write_seconds) return;
    const FailureModel model{*plan_.job_mtbf_seconds, *stage.stop_seconds, *stage.write_seconds,
                             cluster_.restart_seconds.value_or(0)};
    stage.best = IntervalForecast{best_interval(model), {}};
    stage.young = IntervalForecast{young_interval(model), {}};
    stage.daly = IntervalForecast{daly_interval(model), {}};
    warn_if_far(stage, model);
    if (!cluster_.restart_seconds) return;
    for (auto* choice : {&stage.own, &stage.best, &stage.young, &stage.daly})
      if (*choice && (*choice)->seconds > 0) (*choice)->goodput = goodput(model, (*choice)->seconds);
  }

  // The restart time cancels out of the ratio, so that it need not be known.
  void warn_if_far(const StageOnCluster& stage, const FailureModel& model) {
    if (!stage.own || stage.best->seconds <= 0) return;
    const double gain = goodput(model, stage.best->seconds) / goodput(model, stage.own->seconds) - 1;
    if (gain > kFarFromBest)
      plan_.warnings.push_back(
          fmt::format("stage {}: saves every {} of training cost {:.3g}% more time than saves every {}: set "
                      "checkpoint.every to {:.0f}s",
                      stage.name, format_seconds(stage.own->seconds), 100 * gain, format_seconds(stage.best->seconds),
                      std::max(1.0, stage.best->seconds)));
  }

  void count_time(StageOnCluster& stage) const {
    if (!stage.training_hours) return;
    if (stage.own && stage.own->goodput) {
      stage.wall_hours = *stage.training_hours / *stage.own->goodput;
      stage.failures = *stage.wall_hours * kSecondsPerHour / *plan_.job_mtbf_seconds;
    }
    stage.starts = 1;
    if (!plan_.limit_seconds) return;
    const double lost =
        spec_.slurm.stop_margin_seconds + stage.write_seconds.value_or(0) + cluster_.restart_seconds.value_or(0);
    if (lost >= *plan_.limit_seconds)
      fail(fmt::format("a time limit of {} leaves no time to train: {} go to start-up, saving and slurm.stop_margin",
                       format_seconds(*plan_.limit_seconds), format_seconds(lost)),
           "slurm.time", "raise slurm.time, or max_time of the cluster");
    const double hours = stage.wall_hours.value_or(*stage.training_hours);
    stage.starts =
        std::max<int64_t>(1, std::llround(std::ceil(hours * kSecondsPerHour / (*plan_.limit_seconds - lost))));
  }

  void count_cost(StageOnCluster& stage) const {
    if (!stage.training_hours) return;
    const double hours = stage.wall_hours.value_or(*stage.training_hours);
    stage.gpu_hours = hours * static_cast<double>(plan_.ranks);
    stage.node_hours = hours * static_cast<double>(plan_.nodes);
    if (const auto watts = first(cluster_.watts_per_gpu, spec_.account.watts_per_gpu))
      stage.kwh = *stage.gpu_hours * *watts / 1000 * spec_.account.pue;
    if (const auto price = first(cluster_.price_per_gpu_hour, spec_.account.price_per_gpu_hour))
      stage.money = *stage.gpu_hours * *price;
  }

  static std::optional<double> first(const std::optional<double>& a, const std::optional<double>& b) {
    return a ? a : b;
  }

  void note_missing() {
    const auto note = [this](bool known, const char* figures, const char* needs) {
      if (!known) plan_.missing.push_back(fmt::format("{}: {}", figures, needs));
    };
    const bool rate = !speed_.tokens_per_second.empty() || speed_.mfu;
    note(rate, "hours and what follows from them", "--tok-per-s or --mfu");
    note(cluster_.storage_bytes_per_second.has_value(), "the time of saves", "storage_gb_per_s of the cluster");
    note(cluster_.node_mtbf_hours.has_value(), "failures", "node_mtbf of the cluster");
    note(cluster_.restart_seconds.has_value(), "goodput and wall hours", "restart of the cluster");
    note(first(cluster_.watts_per_gpu, spec_.account.watts_per_gpu).has_value(), "energy",
         "watts_per_gpu of the cluster or of account");
    note(first(cluster_.price_per_gpu_hour, spec_.account.price_per_gpu_hour).has_value(), "money",
         "price_per_gpu_hour of the cluster or of account");
    if (cluster_.storage_bytes_per_second && spec_.checkpoint.async)
      note(speed_.save_stop.has_value(), "how long an asynchronous save stops training (here: for all of the write)",
           "--save-stop");
  }

  void compare_with_budget() {
    const auto compare = [this](const char* key, const std::optional<double>& budget,
                                std::optional<double> StageOnCluster::*cost) {
      double sum = 0;
      for (const StageOnCluster& stage : plan_.stages) sum += (stage.*cost).value_or(0);
      if (budget && sum > *budget)
        plan_.warnings.push_back(
            fmt::format("{} of {:.6g} will be spent before the end: the campaign needs {:.6g}", key, *budget, sum));
    };
    compare("budget.gpu_hours", spec_.budget.gpu_hours, &StageOnCluster::gpu_hours);
    compare("budget.node_hours", spec_.budget.node_hours, &StageOnCluster::node_hours);
    compare("budget.kwh", spec_.budget.kwh, &StageOnCluster::kwh);
    compare("budget.money", spec_.budget.money, &StageOnCluster::money);
  }

  const CampaignSpec& spec_;
  const ClusterSpec& cluster_;
  const Forecast& forecast_;
  const MeasuredSpeed& speed_;
  ClusterPlan plan_;
};

}  // namespace

ClusterPlan plan_on_cluster(const CampaignSpec& spec, const ClusterSpec& cluster, const Forecast& forecast,
                            const MeasuredSpeed& speed) {
  return ClusterPlanner(spec, cluster, forecast, speed).plan();
}

}  // namespace nexus
