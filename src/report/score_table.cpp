#include "report/score_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

#include "core/files.h"
#include "report/published.h"

namespace nexus {
namespace {

using Kind = TaskScores::Kind;
using Unit = ScoreColumn::Unit;

const std::vector<PublishedModel> kNoModels;
constexpr double kNormal95 = 1.959963984540054;

std::vector<ScoreColumn> columns_of(const TaskScores& task) {
  switch (task.kind) {
    case Kind::kChoice: return {{task.name, task.metrics.front().name, Unit::kPercent}};
    case Kind::kWord: return {{task.name, "acc", Unit::kPercent}, {task.name, "perplexity", Unit::kPerplexity}};
    case Kind::kText: break;
  }
  std::vector<ScoreColumn> columns;
  for (const ScoreColumn& column : {ScoreColumn{task.name, "token_perplexity", Unit::kPerplexity},
                                    ScoreColumn{task.name, "word_perplexity", Unit::kPerplexity},
                                    ScoreColumn{task.name, "bits_per_byte", Unit::kBits}})
    if (task.find(column.metric) != nullptr) columns.push_back(column);
  return columns;
}

std::vector<ScoreColumn> all_columns(const std::vector<ModelScores>& models) {
  std::vector<ScoreColumn> columns;
  for (const ModelScores& model : models)
    for (const TaskScores& task : model.tasks)
      for (const ScoreColumn& column : columns_of(task))
        if (std::ranges::find(columns, column.name(), &ScoreColumn::name) == columns.end()) columns.push_back(column);
  return columns;
}

double scale_of(Unit unit) {
  return unit == Unit::kPercent ? 100 : 1;
}

const MetricValue* metric_of(const ModelScores& model, const ScoreColumn& column) {
  const TaskScores* task = model.find(column.task);
  return task == nullptr ? nullptr : task->find(column.metric);
}

ScoreRow row_of(const ModelScores& model, const std::vector<ScoreColumn>& columns, const ModelScores& reference) {
  ScoreRow row{model.label, "", {}, std::nullopt};
  ScoreCell average{0, 0, ""};
  int accuracies = 0;
  bool all = true;
  for (const ScoreColumn& column : columns) {
    const MetricValue* metric = metric_of(model, column);
    row.cells.emplace_back();
    const bool counts = column.unit == Unit::kPercent;
    all = all && (metric != nullptr || !counts);
    if (metric == nullptr) continue;
    const double scale = scale_of(column.unit);
    const std::string why = metric_of(reference, column) == nullptr ? "" : score_difference(model, reference, column);
    row.cells.back() = ScoreCell{scale * metric->value, scale * metric->se, why};
    if (!counts) continue;
    ++accuracies;
    average.value += row.cells.back()->value;
    average.se += row.cells.back()->se * row.cells.back()->se;
    if (average.incomparable.empty() && !why.empty()) average.incomparable = column.task + ": " + why;
  }
  if (all && accuracies > 1)
    row.average = {average.value / accuracies, std::sqrt(average.se) / accuracies, average.incomparable};
  return row;
}

// What our figures of a task must be for a paper's to stand beside them.
std::string difference_from_papers(const ModelScores& model, const std::string& task) {
  if (model.limit > 0) return fmt::format("of the paper all items, here the first {}", model.limit);
  const TaskScores* scores = model.find(task);
  return scores != nullptr && scores->setting.contains("shots") ? "of the paper without examples, here few-shot" : "";
}

// Whether papers have scores of some task of the table; averages alone say nothing to others.
bool any_published(const std::vector<ScoreColumn>& columns) {
  return std::ranges::any_of(published_models(), [&](const PublishedModel& each) {
    return std::ranges::any_of(columns, [&](const ScoreColumn& column) { return each.scores.contains(column.name()); });
  });
}

std::optional<ScoreRow> published_row(const PublishedModel& published, const std::vector<ScoreColumn>& columns,
                                      const ModelScores& reference) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  ScoreRow row{published.name, published.source, {}, std::nullopt};
  bool any = false;
  std::set<std::string> ours;
  std::string why_average;
  for (const ScoreColumn& column : columns) {
    row.cells.emplace_back();
    const std::string why = difference_from_papers(reference, column.task);
    if (column.unit == Unit::kPercent) {
      ours.insert(column.name());
      if (why_average.empty()) why_average = why;
    }
    const auto found = published.scores.find(column.name());
    if (found == published.scores.end()) continue;
    any = true;
    row.cells.back() = ScoreCell{found->second, kNone, published.averaged.empty() ? "second-hand" : why};
  }
  const auto average = published.scores.find("average");
  if (average != published.scores.end() && ours.size() > 1) {
    any = true;
    if (published.averaged.empty())
      why_average = "the source does not say over which tasks";
    else if (std::set(published.averaged.begin(), published.averaged.end()) != ours)
      why_average = "the paper's average is over other tasks";
    row.average = {average->second, kNone, why_average};
  }
  return any ? std::optional(row) : std::nullopt;
}

// --- tests
ScoreTest accuracy_test(const ModelScores& model, const ModelScores& baseline, const ScoreColumn& column) {
  const std::vector<ItemScore>&a = model.find(column.task)->items, &b = baseline.find(column.task)->items;
  int64_t only_a = 0, only_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const bool of_a = column.metric == "acc" ? a[i].acc : a[i].acc_norm;
    const bool of_b = column.metric == "acc" ? b[i].acc : b[i].acc_norm;
    only_a += of_a && !of_b;
    only_b += of_b && !of_a;
  }
  ScoreTest test;
  test.accuracies = mcnemar(only_a, only_b);
  test.p = test.accuracies->exact;
  const auto n = static_cast<double>(a.size()), sum = static_cast<double>(only_a + only_b),
             lead = static_cast<double>(only_a - only_b);
  test.difference = 100 * lead / n;
  const double se = 100 * std::sqrt(std::max(0.0, sum - lead * lead / n)) / n;
  test.low = test.difference - kNormal95 * se;
  test.high = test.difference + kNormal95 * se;
  return test;
}

// Nats per unit of the metric, of items drawn so many times: the sum over tokens (or words of a task), times a
// constant.
class LossOfDraw {
 public:
  LossOfDraw(const TaskScores& task, const ScoreColumn& column)
      : items_(task.items), is_word_(task.kind == Kind::kWord) {
    double tokens = 0;
    for (const ItemScore& item : items_) tokens += item.tokens;
    if (column.metric == "word_perplexity") scale_ = tokens / task.words;
    if (column.metric == "bits_per_byte") scale_ = tokens / (task.bytes * std::numbers::ln2);
  }
  double operator()(const std::vector<int32_t>& times) const {
    double sum = 0, weight = 0;
    for (size_t i = 0; i < items_.size(); ++i) {
      sum -= times[i] * items_[i].loglikelihood;
      weight += times[i] * (is_word_ ? 1 : items_[i].tokens);
    }
    return scale_ * sum / weight;
  }

 private:
  const std::vector<ItemScore>& items_;
  bool is_word_;
  double scale_ = 1;
};

ScoreTest loss_test(const ModelScores& model, const ModelScores& baseline, const ScoreColumn& column) {
  const TaskScores &a = *model.find(column.task), &b = *baseline.find(column.task);
  const LossOfDraw of_a(a, column), of_b(b, column);
  const Bootstrap drawn =
      paired_bootstrap(a.items.size(), [&](const std::vector<int32_t>& times) { return of_a(times) - of_b(times); });
  const auto told = [&](double value) { return column.unit == Unit::kBits ? value : std::exp(value); };
  ScoreTest test;
  test.difference = told(drawn.value);
  test.low = told(drawn.low);
  test.high = told(drawn.high);
  test.p = drawn.p;
  return test;
}

// Of independent tasks, each with the paired error of its own items.
ScoreTest average_test(const std::vector<ScoreTest>& tests, const std::vector<ScoreColumn>& columns) {
  ScoreTest average;
  double variance = 0;
  int count = 0;
  for (const ScoreTest& test : tests) {
    if (columns[*test.column].unit != Unit::kPercent) continue;
    if (!test.reason.empty()) {
      average.reason = columns[*test.column].task + ": " + test.reason;
      return average;
    }
    average.difference += test.difference;
    const double se = (test.high - test.difference) / kNormal95;
    variance += se * se;
    ++count;
  }
  average.difference /= count;
  const double se = std::sqrt(variance) / count;
  average.low = average.difference - kNormal95 * se;
  average.high = average.difference + kNormal95 * se;
  average.p = se > 0 ? std::erfc(std::abs(average.difference) / se / std::numbers::sqrt2) : 1;
  return average;
}

std::vector<ScoreTest> tests_of(const ModelScores& model, const ModelScores& baseline,
                                const std::vector<ScoreColumn>& columns) {
  std::vector<ScoreTest> tests;
  int accuracies = 0;
  for (size_t i = 0; i < columns.size(); ++i) {
    std::string reason;
    for (const ModelScores* each : {&model, &baseline})
      if (metric_of(*each, columns[i]) == nullptr) reason = each->label + " was not scored on it";
    if (reason.empty()) reason = score_difference(model, baseline, columns[i]);
    ScoreTest test;
    if (reason.empty())
      test = columns[i].unit == Unit::kPercent ? accuracy_test(model, baseline, columns[i])
                                               : loss_test(model, baseline, columns[i]);
    test.reason = reason;
    test.column = i;
    tests.push_back(test);
    accuracies += columns[i].unit == Unit::kPercent;
  }
  if (accuracies > 1) tests.push_back(average_test(tests, columns));
  for (ScoreTest& test : tests) test.model = model.label;
  return tests;
}

}  // namespace

std::string score_difference(const ModelScores& a, const ModelScores& b, const ScoreColumn& column) {
  const TaskScores &of_a = *a.find(column.task), &of_b = *b.find(column.task);
  if (of_a.digest != of_b.digest || of_a.kind != of_b.kind) return "the items are others";
  if (a.limit != b.limit) return "the number of items is another";
  if (of_a.setting != of_b.setting)
    return of_a.kind == Kind::kText ? "the windows are others" : "the examples are others";
  if (a.context != b.context)
    return fmt::format("the context is {} tokens, {} reads {}", a.context, b.label, b.context);
  if (a.bos != b.bos) return "only one of them begins texts with BOS";
  // Windows over joined text, and tokens, are those of a tokenizer; answers, words and documents are not.
  const bool of_tokens = of_a.kind == Kind::kText &&
                         (column.metric == "token_perplexity" || of_a.setting.value("windows", "") != "document");
  if (of_tokens && a.tokenizer != b.tokenizer) return "the tokenizers differ";
  const bool equal = std::ranges::equal(of_a.items, of_b.items, [](const ItemScore& x, const ItemScore& y) {
    return x.id == y.id && x.asked == y.asked;
  });
  return equal ? "" : "the items are others";
}

ScoreTables compare_scores(const std::vector<ModelScores>& models, std::optional<size_t> baseline) {
  ScoreTables result;
  result.columns = all_columns(models);
  const ModelScores& reference = models.at(baseline.value_or(0));
  for (const ModelScores& model : models) {
    result.rows.push_back(row_of(model, result.columns, reference));
    for (size_t i = 0; i < result.columns.size(); ++i)
      if (const auto& cell = result.rows.back().cells[i]; cell && !cell->incomparable.empty())
        result.warnings.push_back(fmt::format("{}, {}: does not compare with {}: {}", model.label,
                                              result.columns[i].name(), reference.label, cell->incomparable));
  }
  for (const PublishedModel& published : any_published(result.columns) ? published_models() : kNoModels)
    if (std::optional<ScoreRow> row = published_row(published, result.columns, reference))
      result.rows.push_back(std::move(*row));
  if (!baseline) return result;
  result.baseline = reference.label;
  for (const ModelScores& model : models)
    if (&model != &reference)
      for (ScoreTest& test : tests_of(model, reference, result.columns)) result.tests.push_back(std::move(test));
  return result;
}

}  // namespace nexus
