#include "study/study_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "core/error.h"
#include "core/files.h"
#include "core/json_text.h"
#include "report/compute_split.h"
#include "report/eval_basis.h"
#include "report/pictures.h"
#include "study/study_status.h"

namespace nexus {
namespace {

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

std::string scatter_text(double variance) {
  return std::isnan(variance) ? kNothing : fmt::format("{:.4f}", std::sqrt(variance));
}

// Of the scatter over seeds what evaluations account for.
std::string evaluation_text(const Measured& values) {
  if (values.over_seeds.n < 2 || std::isnan(values.noise.evaluation)) return kNothing;
  return (values.exact ? "" : "≤ ") + scatter_text(values.noise.evaluation);
}

// JSON has neither NaN nor infinity.
nlohmann::ordered_json number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json interval_json(const Interval& interval) {
  return {{"n", interval.n},
          {"mean", number(interval.mean)},
          {"sd", number(interval.sd)},
          {"low", number(interval.low)},
          {"high", number(interval.high)}};
}

nlohmann::ordered_json measured_json(const Measured& values) {
  nlohmann::ordered_json json = interval_json(values.over_seeds);
  json["evaluation_sd"] = number(std::sqrt(values.noise.evaluation));
  if (values.over_seeds.n > 1) json["evaluation_sd_is"] = values.exact ? "exact" : "upper bound";
  json["window_se"] = number(values.se);
  return json;
}

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

class Reporter {
 public:
  explicit Reporter(const StudySpec& study) : study_(study) {}

  StudyReport report() {
    read();
    choose();
    pair();
    report_.tables.push_back(arms_table());
    report_.tables.push_back(differences_table());
    if (std::ranges::any_of(study_.arms, [](const StudyArm& arm) { return !arm.swept.empty(); }))
      report_.tables.push_back(sweep_table());
    report_.tables.push_back(compute_table());
    fill_json();
    return std::move(report_);
  }

 private:
  void read() {
    const std::vector<StudyRun> runs = runs_of(study_);
    const std::vector<StudyRunView> views = view_study(study_, {});
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
      std::vector<int64_t> tokens;
      for (const EvalRecord& row : history.evals) tokens.push_back(row.tokens);
      std::vector<double> seconds = seconds_until(history, seconds_of_ancestors(runs, runs[i], history), tokens);
      arms_[runs[i].arm].by_seed.emplace(fmt::format("{}", runs[i].seed),
                                         FinishedRun{std::move(history), std::move(seconds)});
      any = true;
    }
    if (!any) throw Error(ErrorKind::kData, "no run of the study is done", study_.out, "run `nexus study run` first");
  }

  // Unknown where a parent's folder is gone, or does not reach as far as the run says that it started from.
  double seconds_of_ancestors(const std::vector<StudyRun>& runs, const StudyRun& run, const RunHistory& history) {
    if (!run.parent) return 0;
    const int64_t inherited = history.commits.empty() ? 0 : history.commits.back().inherited_tokens;
    const StudyRun& parent = runs[*run.parent];
    if (!parents_.contains(parent.folder)) {
      std::optional<RunHistory>& read = parents_[parent.folder];
      try {
        read = read_run(parent.folder);
      } catch (const Error&) {
        // All else of the report does without.
      }
    }
    const std::optional<RunHistory>& from = parents_.at(parent.folder);
    if (!from || from->steps.empty() || from->steps.back().tokens < inherited) return kUnknown;
    return seconds_until(*from, seconds_of_ancestors(runs, parent, *from), {inherited}).front();
  }

  // Of a swept arm the value whose mean over all seeds is the lowest; values that lack a seed are no candidates.
  void choose() {
    for (const ArmRuns& runs : arms_) {
      const StudyArm& arm = study_.arms[runs.arm];
      if (!arm.compared || runs.by_seed.empty()) continue;
      GroupResult result{arm.group(), arm.value, runs, losses_of(runs), {}, {}, {}, {}, ""};
      const auto same = std::ranges::find(report_.groups, arm.group(), &GroupResult::group);
      if (same == report_.groups.end())
        report_.groups.push_back(std::move(result));
      else if (is_better(result, *same))
        *same = std::move(result);
    }
  }

  bool is_better(const GroupResult& one, const GroupResult& other) const {
    const auto whole = [&](const GroupResult& result) { return result.runs.by_seed.size() == study_.seeds.size(); };
    if (whole(one) != whole(other)) return whole(one);
    return one.loss.over_seeds.mean < other.loss.over_seeds.mean;
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
    RunPairs pairs;
    for (const auto& [seed, run] : group.runs.by_seed) {
      const auto other = baseline.runs.by_seed.find(seed);
      if (other == baseline.runs.by_seed.end()) continue;
      const auto unlike = differences(basis_of(run.history, run.last()), group.group,
                                      basis_of(other->second.history, other->second.last()), baseline.group);
      if (!unlike.empty()) {
        group.why_unpaired = unlike.front().brief;
        return;
      }
      if (run.last().flops_def != other->second.last().flops_def) {
        group.why_unpaired = "other flops_def";
        return;
      }
      pairs.emplace_back(&run, &other->second);
    }
    if (pairs.empty()) {
      group.why_unpaired = "no seed in common";
      return;
    }
    group.at_end = differences_at_end(pairs);
    group.at_equal_tokens = difference_at_equal(pairs, RunAmount::kTokens);
    group.at_equal_flops = difference_at_equal(pairs, RunAmount::kFlops);
    if (on_gpus()) group.at_equal_seconds = difference_at_equal(pairs, RunAmount::kSeconds);
  }

  // Seconds of cores that runs share say little.
  bool on_gpus() const { return study_.device == "cuda"; }

  // --- tables
  static std::string label(const GroupResult& group) {
    return group.value.empty() ? group.group : group.group + " at " + group.value;
  }

  Table arms_table() const {
    const std::string unit = report_.groups.front().runs.by_seed.begin()->second.history.words.loss_unit;
    Table table{
        "Arms",
        fmt::format("Loss in {} at a run's end, mean over seeds with its 95 % interval (Student's t); sd: the scatter "
                    "over seeds, and what of it is that evaluations read few windows (docs/report.md, Over seeds).",
                    unit),
        {{"arm", false}, {"seeds"}, {"tokens"}, {"FLOPs"}, {"loss"}, {"sd"}, {"of it evaluation"}},
        {}};
    for (const GroupResult& group : report_.groups) {
      const EvalRecord& last = group.runs.by_seed.begin()->second.last();
      const Interval& loss = group.loss.over_seeds;
      table.rows.push_back({label(group), fmt::format("{}", loss.n),
                            fmt::format("{:.4g}", static_cast<double>(last.tokens)), format_flops(last.flops),
                            interval_text(loss), scatter_text(loss.sd * loss.sd), evaluation_text(group.loss)});
    }
    return table;
  }

  // Of one seed, where its windows are told, with the standard error over them.
  static std::string end_text(const Measured& values) {
    const std::string text = difference_text(values.over_seeds);
    return std::isnan(values.se) ? text : fmt::format("{} ± {:.4f}", text, values.se);
  }

  Table differences_table() const {
    Table table{
        "Differences from " + study_.baseline,
        fmt::format("Loss minus the baseline's, paired seed by seed: below 0 is better. Mean over pairs with its 95 % "
                    "interval (Student's t); of a single pair ± one standard error over validation windows, which says "
                    "nothing about other seeds. At equal tokens{} training FLOPs{}, ancestors included, a pair is "
                    "compared where the shorter of its runs ends.",
                    on_gpus() ? "," : " and", on_gpus() ? " and seconds of training steps" : ""),
        {{"arm", false},
         {"pairs"},
         {"at the end"},
         {"sd"},
         {"of it evaluation"},
         {"at equal tokens"},
         {"at equal FLOPs"}},
        {}};
    if (on_gpus()) table.columns.push_back({"at equal seconds"});
    for (const GroupResult& group : report_.groups) {
      if (group.group == study_.baseline) continue;
      std::vector<std::string> row(table.columns.size(), kNothing);
      row[0] = label(group);
      if (!group.why_unpaired.empty()) {
        row[1] = group.why_unpaired;
      } else {
        const Interval& end = group.at_end.over_seeds;
        row[1] = fmt::format("{}", end.n);
        row[2] = end_text(group.at_end);
        row[3] = scatter_text(end.sd * end.sd);
        row[4] = evaluation_text(group.at_end);
        row[5] = difference_text(group.at_equal_tokens);
        row[6] = difference_text(group.at_equal_flops);
        if (on_gpus()) row[7] = difference_text(group.at_equal_seconds);
      }
      table.rows.push_back(std::move(row));
    }
    return table;
  }

  // Whether a lower loss may lie beyond the values that were tried: the chosen one is their least or greatest.
  bool is_at_the_edge(const GroupResult& group) const {
    std::vector<double> tried;
    for (const StudyArm& arm : study_.arms) {
      if (arm.group() != group.group) continue;
      char* end = nullptr;
      tried.push_back(std::strtod(arm.value.c_str(), &end));
      if (end == arm.value.c_str() || *end != 0) return false;  // no numbers, no order
    }
    const double chosen = std::strtod(group.value.c_str(), nullptr);
    return chosen == std::ranges::min(tried) || chosen == std::ranges::max(tried);
  }

  Table sweep_table() const {
    Table table{"Swept keys",
                "Every value that was tried. The lowest mean loss over all seeds was chosen, a rule of the study's "
                "file; the arms above are at the chosen values. At the edge: a better one may lie beyond.",
                {{"arm", false}, {"value"}, {"seeds"}, {"loss"}, {"chosen", false}},
                {}};
    for (const ArmRuns& runs : arms_) {
      const StudyArm& arm = study_.arms[runs.arm];
      if (arm.swept.empty() || runs.by_seed.empty()) continue;
      const auto group = std::ranges::find(report_.groups, arm.group(), &GroupResult::group);
      const Interval loss = losses_of(runs).over_seeds;
      const bool chosen = group->value == arm.value;
      table.rows.push_back({arm.swept, arm.value, fmt::format("{}", loss.n), interval_text(loss),
                            !chosen                  ? ""
                            : is_at_the_edge(*group) ? "yes, at the edge"
                                                     : "yes"});
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
          pairs.push_back({priced_run(run.history), priced_run(other->second.history)});
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

  static nlohmann::ordered_json curves_json(const ArmRuns& runs) {
    nlohmann::ordered_json curves = nlohmann::ordered_json::array();
    for (const auto& [seed, run] : runs.by_seed) {
      nlohmann::ordered_json curve{{"seed", seed}};
      for (const EvalRecord* row : comparable_evals(run.history)) {
        curve["tokens"].push_back(row->tokens);
        curve["flops"].push_back(row->flops);
        curve["loss"].push_back(number(row->loss));
      }
      curves.push_back(std::move(curve));
    }
    return curves;
  }

  void fill_json() {
    report_.json = {{"format", "nexus-study-1"},
                    {"study", study_.name},
                    {"question", study_.question},
                    {"baseline", study_.baseline},
                    {"loss_unit", report_.groups.front().runs.by_seed.begin()->second.history.words.loss_unit},
                    {"seeds", study_.seeds},
                    {"groups", nlohmann::ordered_json::array()},
                    {"swept", nlohmann::ordered_json::array()},
                    {"missing", report_.missing}};
    for (const GroupResult& group : report_.groups) {
      nlohmann::ordered_json json{{"arm", group.group},
                                  {"value", group.value},
                                  {"loss", measured_json(group.loss)},
                                  {"difference_at_end", measured_json(group.at_end)},
                                  {"difference_at_equal_tokens", interval_json(group.at_equal_tokens)},
                                  {"difference_at_equal_flops", interval_json(group.at_equal_flops)}};
      if (on_gpus()) json["difference_at_equal_seconds"] = interval_json(group.at_equal_seconds);
      json["why_unpaired"] = group.why_unpaired;
      json["curves"] = curves_json(group.runs);
      report_.json["groups"].push_back(std::move(json));
    }
    for (const ArmRuns& runs : arms_) {
      const StudyArm& arm = study_.arms[runs.arm];
      if (arm.swept.empty() || runs.by_seed.empty()) continue;
      report_.json["swept"].push_back(
          {{"arm", arm.swept}, {"value", arm.value}, {"loss", interval_json(losses_of(runs).over_seeds)}});
    }
  }

  const StudySpec& study_;
  std::vector<ArmRuns> arms_;
  std::map<std::string, std::optional<RunHistory>> parents_;  // by folder; nothing: it cannot be read
  StudyReport report_;
};

const Picture kPicture{"study", "The study in one picture",
                       "Differences from the baseline at the runs' ends with their 95 % intervals over seeds (open: "
                       "one seed, no interval); "
                       "validation loss against cumulative training FLOPs, the mean over seeds and, thin, each seed; "
                       "of swept keys the loss "
                       "at every value."};

std::string runs_csv(const StudyReport& report) {
  std::string text = "arm,value,seed,tokens,flops,seconds,loss,loss_se\n";
  for (const GroupResult& group : report.groups)
    for (const auto& [seed, run] : group.runs.by_seed) {
      const EvalRecord& last = run.last();
      const std::string seconds = std::isnan(run.seconds.back()) ? "" : fmt::format("{:.6g}", run.seconds.back());
      text += fmt::format("{},{},{},{},{},{},{},{}\n", escape_csv(group.group), escape_csv(group.value), seed,
                          last.tokens, last.flops, seconds, last.loss, last.loss_se);
    }
  return text;
}

}  // namespace

StudyReport report_study(const StudySpec& study) {
  return Reporter(study).report();
}

std::string missing_text(const StudyReport& report) {
  if (report.missing.empty()) return "";
  std::string text = "Not done, and in no figure:";
  for (const std::string& run : report.missing) text += " " + run + ";";
  text.back() = '.';
  return text + "\n\n";
}

std::vector<std::string> write_study_report(const StudySpec& study, const StudyReport& report,
                                            const std::string& folder) {
  std::filesystem::create_directories(folder);
  std::string text = fmt::format("# {}\n\n", study.name);
  if (!study.question.empty()) text += study.question + "\n\n";
  text += missing_text(report);
  for (const Table& table : report.tables)
    if (!table.rows.empty()) text += to_markdown(table) + "\n";
  const std::string results = folder + "/results.json";
  write_file_durably(results, json_text(report.json, 1) + "\n");
  write_file_durably(folder + "/runs.csv", runs_csv(report));
  std::vector<std::string> warnings;
  if (!draw_pictures({kPicture}, results, folder, warnings).empty())
    text += fmt::format("![{}](study.svg)\n\n{}\n", kPicture.title, kPicture.definition);
  write_file_durably(folder + "/tables.md", text);
  return warnings;
}

}  // namespace nexus
