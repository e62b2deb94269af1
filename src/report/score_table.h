// `nexus report --table zero-shot`: models by tasks, their average, what papers have published beside them, and paired
// tests against a baseline. docs/report.md defines every figure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/table.h"
#include "report/task_results.h"
#include "statistics/paired_tests.h"

namespace nexus {

struct ScoreColumn {
  enum class Unit { kPercent, kPerplexity, kBits };
  std::string task, metric;
  Unit unit = Unit::kPercent;
  std::string name() const { return task + " " + metric; }
};

struct ScoreCell {
  double value = 0;  // accuracies in percent
  double se = std::numeric_limits<double>::quiet_NaN();
  std::string incomparable;  // with the baseline's, or the first model's: why not
};

struct ScoreRow {
  std::string label;
  std::string published;                        // where; empty: a model that was evaluated here
  std::vector<std::optional<ScoreCell>> cells;  // one per column
  std::optional<ScoreCell> average;             // over all columns of accuracies; nothing where one is missing
};

// A model against the baseline, on one column or, without one, on the average.
struct ScoreTest {
  std::string model;
  std::optional<size_t> column;
  std::string reason;        // why there is no test; the rest is empty then
  double difference = 0;     // model less baseline: points, bits; of perplexities the ratio, model over baseline
  double low = 0, high = 0;  // 95 %
  std::optional<McNemar> accuracies;  // a: the model, b: the baseline
  double p = 1;                       // exact McNemar, bootstrap, or of the average a normal approximation
};

struct ScoreTables {
  std::vector<ScoreColumn> columns;
  std::vector<ScoreRow> rows;  // models, then what is published
  std::optional<std::string> baseline;
  std::vector<ScoreTest> tests;  // none without a baseline
  std::vector<std::string> warnings;
};

// Labels must differ. `baseline`: number of a model.
ScoreTables compare_scores(const std::vector<ModelScores>& models, std::optional<size_t> baseline);

// Why a figure of the two says nothing about the models; empty: it does. `metric` of a task that both have.
std::string score_difference(const ModelScores& a, const ModelScores& b, const ScoreColumn& column);

Table score_table(const ScoreTables& scores);
Table score_test_table(const ScoreTables& scores);  // no rows without a baseline
// Both in full precision: a line for each figure, and for each test.
std::string scores_csv(const ScoreTables& scores);

struct ScoreReport {
  ScoreTables tables;
  std::string folder;
  std::string markdown;
};
// Writes FOLDER/zero-shot.{md,csv,tex,html}.
ScoreReport write_score_report(const ScoreTables& scores, const std::string& folder, const std::string& command,
                               const std::string& version);

}  // namespace nexus
