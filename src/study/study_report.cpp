#include "study/study_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>

#include "core/error.h"
#include "core/files.h"
#include "core/json_text.h"
#include "report/compute_split.h"
#include "report/eval_basis.h"
#include "statistics/noise.h"
#include "study/study_status.h"

namespace nexus {
namespace {

using XOf = double (*)(const EvalRecord&);
double tokens_of(const EvalRecord& row) {
  return static_cast<double>(row.tokens);
}
double flops_of(const EvalRecord& row) {
  return row.flops;
}

// The loss at x, straight between evaluations in (log x, loss); nothing outside of them.
std::optional<double> loss_at(const RunHistory& run, XOf x_of, double x) {
  const EvalRecord* before = nullptr;
  for (const EvalRecord* row : comparable_evals(run)) {
    const double here = x_of(*row);
    if (here <= 0) continue;
    if (here == x) return row->loss;
    if (here > x) {
      if (before == nullptr) return std::nullopt;
      const double share = std::log(x / x_of(*before)) / std::log(here / x_of(*before));
      return before->loss + share * (row->loss - before->loss);
    }
    before = row;
  }
  return std::nullopt;
}

using Pairs = std::vector<std::pair<const RunHistory*, const RunHistory*>>;

// Of every seed the difference of losses at the x at which the shorter run ends; empty where a seed has none.
std::vector<double> differences_at_equal(const Pairs& pairs, XOf x_of) {
  std::vector<double> values;
  for (const auto& [run, baseline] : pairs) {
    const double x = std::min(x_of(run->evals.back()), x_of(baseline->evals.back()));
    const std::optional<double> a = loss_at(*run, x_of, x), b = loss_at(*baseline, x_of, x);
    if (!a || !b) return {};
    values.push_back(*a - *b);
  }
  return values;
}

Interval interval_of(const std::vector<double>& values) {
  return values.empty() ? Interval{} : mean_interval(values);
}

std::string interval_text(const Interval& interval) {
  if (interval.n == 0) return kNothing;
  if (!interval.has_interval()) return fmt::format("{:.4f}", interval.mean);
  return fmt::format("{:.4f} [{:.4f}, {:.4f}]", interval.mean, interval.low, interval.high);
}

std::string difference_text(const Interval& interval) {
  if (interval.n == 0) return kNothing;
  if (!interval.has_interval()) return fmt::format("{:+.4f}", interval.mean);
  return fmt::format("{:+.4f} [{:+.4f}, {:+.4f}]", interval.mean, interval.low, interval.high);
}

nlohmann::ordered_json interval_json(const Interval& interval) {
  const auto number = [](double value) {
    return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
  };
  return {{"n", interval.n},
          {"mean", number(interval.mean)},
          {"sd", number(interval.sd)},
          {"low", number(interval.low)},
          {"high", number(interval.high)}};
}

class Reporter {
 public:
  explicit Reporter(const StudySpec& study) : study_(study) {}

  StudyReport report() {
    read();
    choose();
    pair();
    report_.tables.push_back(arms_table());
    if (std::ranges::any_of(study_.arms, [](const StudyArm& arm) { return !arm.swept.empty(); }))
      report_.tables.push_back(sweep_table());
    report_.tables.push_back(compute_table());
    fill_json();
    return std::move(report_);
  }

 private:
  void read() {
    const std::vector<StudyRun> runs = runs_of(study_);
    const std::vector<StudyRunView> views = view_study(study_);
    for (size_t arm = 0; arm < study_.arms.size(); ++arm) arms_.push_back({arm, {}});
    bool any = false;
    for (size_t i = 0; i < runs.size(); ++i) {
      if (!study_.arms[runs[i].arm].compared) continue;
      if (views[i].state != StudyRunState::kDone) {
        report_.missing.push_back(name_of(study_, runs[i]));
        continue;
      }
      RunHistory history = read_run(runs[i].folder);
      if (history.evals.empty())
        throw Error(ErrorKind::kData, "the run has no evaluation", runs[i].folder,
                    "set data.valid in the base campaign");
      arms_[runs[i].arm].by_seed.emplace(fmt::format("{}", runs[i].seed), std::move(history));
      any = true;
    }
    if (!any) throw Error(ErrorKind::kData, "no run of the study is done", study_.out, "run `nexus study run` first");
  }

  // Of a swept arm the value whose mean over all seeds is the lowest; values that lack a seed are no candidates.
  void choose() {
    for (const ArmRuns& runs : arms_) {
      const StudyArm& arm = study_.arms[runs.arm];
      if (!arm.compared || runs.by_seed.empty()) continue;
      GroupResult result{arm.group(), arm.value, runs, mean_and_sd_of(runs), {}, {}, {}, ""};
      const auto same = std::ranges::find(report_.groups, arm.group(), &GroupResult::group);
      if (same == report_.groups.end())
        report_.groups.push_back(std::move(result));
      else if (is_better(result, *same))
        *same = std::move(result);
    }
  }

  static Interval mean_and_sd_of(const ArmRuns& runs) {
    std::vector<double> values;
    for (const auto& [seed, loss] : runs.losses()) values.push_back(loss);
    return mean_interval(values);
  }

  bool is_better(const GroupResult& one, const GroupResult& other) const {
    const auto whole = [&](const GroupResult& result) { return result.runs.by_seed.size() == study_.seeds.size(); };
    if (whole(one) != whole(other)) return whole(one);
    return one.loss.mean < other.loss.mean;
  }

  void pair() {
    const auto baseline = std::ranges::find(report_.groups, study_.baseline, &GroupResult::group);
    for (GroupResult& group : report_.groups) {
      if (group.group == study_.baseline) continue;
      if (baseline == report_.groups.end())
        group.why_unpaired = study_.baseline + " is not done";
      else
        pair_with(*baseline, group);
    }
  }

  void pair_with(const GroupResult& baseline, GroupResult& group) const {
    Pairs pairs;
    std::vector<double> at_end;
    for (const auto& [seed, run] : group.runs.by_seed) {
      const auto other = baseline.runs.by_seed.find(seed);
      if (other == baseline.runs.by_seed.end()) continue;
      const auto unlike = differences(basis_of(run, run.evals.back()), group.group,
                                      basis_of(other->second, other->second.evals.back()), baseline.group);
      if (!unlike.empty()) {
        group.why_unpaired = unlike.front().brief;
        return;
      }
      if (run.evals.back().flops_def != other->second.evals.back().flops_def) {
        group.why_unpaired = "other flops_def";
        return;
      }
      pairs.emplace_back(&run, &other->second);
      at_end.push_back(run.evals.back().loss - other->second.evals.back().loss);
    }
    if (pairs.empty()) {
      group.why_unpaired = "no seed in common";
      return;
    }
    group.at_end = interval_of(at_end);
    group.at_equal_tokens = interval_of(differences_at_equal(pairs, tokens_of));
    group.at_equal_flops = interval_of(differences_at_equal(pairs, flops_of));
  }

  // --- tables
  static std::string label(const GroupResult& group) {
    return group.value.empty() ? group.group : group.group + " at " + group.value;
  }

  std::string evaluation_noise(const GroupResult& group) const {
    std::vector<MeasuredValue> values;
    for (const auto& [seed, run] : group.runs.by_seed)
      values.push_back({run.evals.back().loss, run.evals.back().loss_se});
    const NoiseParts parts = separate_noise(values);
    return std::isnan(parts.evaluation) ? kNothing : fmt::format("{:.4f}", std::sqrt(parts.evaluation));
  }

  Table arms_table() const {
    const std::string unit = report_.groups.front().runs.by_seed.begin()->second.words.loss_unit;
    Table table{
        "Arms",
        fmt::format(
            "Loss in {} at a run's end, mean over seeds with its 95 % interval (Student's t). Differences from {} "
            "are paired seed by seed; below 0 is better. At equal tokens and equal training FLOPs, ancestors "
            "included, a pair is compared where the shorter of its runs ends. Of the scatter over seeds (sd), "
            "evaluations account for no more than their own noise.",
            unit, study_.baseline),
        {{"arm", false},
         {"seeds"},
         {"tokens"},
         {"FLOPs"},
         {"loss"},
         {"sd"},
         {"noise of evaluation"},
         {"difference at the end"},
         {"at equal tokens"},
         {"at equal FLOPs"}},
        {}};
    for (const GroupResult& group : report_.groups) {
      const EvalRecord& last = group.runs.by_seed.begin()->second.evals.back();
      const bool is_baseline = group.group == study_.baseline;
      const auto cell = [&](const Interval& interval) {
        if (is_baseline) return std::string("baseline");
        return group.why_unpaired.empty() ? difference_text(interval) : group.why_unpaired;
      };
      table.rows.push_back(
          {label(group), fmt::format("{}", group.loss.n), fmt::format("{:.4g}", static_cast<double>(last.tokens)),
           format_flops(last.flops), interval_text(group.loss),
           std::isnan(group.loss.sd) ? kNothing : fmt::format("{:.4f}", group.loss.sd), evaluation_noise(group),
           cell(group.at_end), cell(group.at_equal_tokens), cell(group.at_equal_flops)});
    }
    return table;
  }

  Table sweep_table() const {
    Table table{"Swept keys",
                "Every value that was tried. The lowest mean loss over all seeds was chosen, a rule of the study's "
                "file; the arms "
                "above are at the chosen values.",
                {{"arm", false}, {"value"}, {"seeds"}, {"loss"}, {"chosen", false}},
                {}};
    for (const ArmRuns& runs : arms_) {
      const StudyArm& arm = study_.arms[runs.arm];
      if (arm.swept.empty() || runs.by_seed.empty()) continue;
      const auto group = std::ranges::find(report_.groups, arm.group(), &GroupResult::group);
      const Interval loss = mean_and_sd_of(runs);
      table.rows.push_back({arm.swept, arm.value, fmt::format("{}", loss.n), interval_text(loss),
                            group->value == arm.value ? "yes" : ""});
    }
    return table;
  }

  Table compute_table() const {
    Table table{
        "Compute saved",
        fmt::format(
            "Against {} at the best loss that all pairs reach: saved = accounting + quality (docs/report.md, "
            "Compute saved, taken apart), by cumulative compute; stage-only counts since the last growth alone.",
            study_.baseline),
        {{"arm", false},
         {"pairs"},
         {"at loss"},
         {"saved"},
         {"accounting"},
         {"quality"},
         {"stage-only"},
         {"remark", false}},
        {}};
    const auto baseline = std::ranges::find(report_.groups, study_.baseline, &GroupResult::group);
    if (baseline == report_.groups.end()) return table;
    for (const GroupResult& group : report_.groups) {
      if (&group == &*baseline || !group.why_unpaired.empty()) continue;
      std::vector<PairOfRuns> pairs;
      for (const auto& [seed, run] : group.runs.by_seed)
        if (const auto other = baseline->runs.by_seed.find(seed); other != baseline->runs.by_seed.end())
          pairs.push_back({priced_run(run), priced_run(other->second)});
      const ComputeSplit split = split_saving(pairs, std::nullopt);
      const auto percent = [](const Interval& share) {
        if (share.n == 0 || std::isnan(share.mean)) return std::string(kNothing);
        if (!share.has_interval()) return format_percent(share.mean) + " %";
        return fmt::format("{} % [{}, {}]", format_percent(share.mean), format_percent(share.low),
                           format_percent(share.high));
      };
      std::string remark = split.reason;
      if (split.kind == Saving::Kind::kAtLeast) remark = "at least: the baseline does not reach it";
      table.rows.push_back({label(group), fmt::format("{}", pairs.size()),
                            std::isnan(split.target_loss) ? kNothing : fmt::format("{:.4f}", split.target_loss),
                            percent(split.saved), percent(split.accounting), percent(split.quality),
                            percent(split.stage_only), remark});
    }
    return table;
  }

  void fill_json() {
    nlohmann::ordered_json groups = nlohmann::ordered_json::array();
    for (const GroupResult& group : report_.groups)
      groups.push_back({{"arm", group.group},
                        {"value", group.value},
                        {"loss", interval_json(group.loss)},
                        {"difference_at_end", interval_json(group.at_end)},
                        {"difference_at_equal_tokens", interval_json(group.at_equal_tokens)},
                        {"difference_at_equal_flops", interval_json(group.at_equal_flops)},
                        {"why_unpaired", group.why_unpaired}});
    report_.json = {
        {"study", study_.name}, {"question", study_.question}, {"baseline", study_.baseline}, {"seeds", study_.seeds},
        {"groups", groups},     {"missing", report_.missing}};
  }

  const StudySpec& study_;
  std::vector<ArmRuns> arms_;
  StudyReport report_;
};

std::string runs_csv(const StudyReport& report) {
  std::string text = "arm,value,seed,tokens,flops,loss,loss_se\n";
  for (const GroupResult& group : report.groups)
    for (const auto& [seed, run] : group.runs.by_seed) {
      const EvalRecord& last = run.evals.back();
      text += fmt::format("{},{},{},{},{},{},{}\n", escape_csv(group.group), escape_csv(group.value), seed, last.tokens,
                          last.flops, last.loss, last.loss_se);
    }
  return text;
}

}  // namespace

SeedValues ArmRuns::losses() const {
  SeedValues values;
  for (const auto& [seed, run] : by_seed) values[seed] = run.evals.back().loss;
  return values;
}

StudyReport report_study(const StudySpec& study) {
  return Reporter(study).report();
}

void write_study_report(const StudySpec& study, const StudyReport& report, const std::string& folder) {
  std::filesystem::create_directories(folder);
  std::string text = fmt::format("# {}\n\n", study.name);
  if (!study.question.empty()) text += study.question + "\n\n";
  if (!report.missing.empty()) {
    text += "Not done, and in no figure:";
    for (const std::string& run : report.missing) text += " " + run + ";";
    text.back() = '.';
    text += "\n\n";
  }
  for (const Table& table : report.tables)
    if (!table.rows.empty()) text += to_markdown(table) + "\n";
  write_file_durably(folder + "/tables.md", text);
  write_file_durably(folder + "/results.json", json_text(report.json, 1) + "\n");
  write_file_durably(folder + "/runs.csv", runs_csv(report));
}

}  // namespace nexus
