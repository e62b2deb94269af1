#include "tasks/task_result.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>

#include "core/error.h"
#include "core/json_text.h"
#include "tasks/render_text.h"

namespace nexus {
namespace {

size_t first_highest(const std::vector<double>& values) {
  return static_cast<size_t>(std::ranges::max_element(values) - values.begin());  // the first of equal ones
}

Figure mean_of(const std::string& name, const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  const double mean = sum / n;
  for (const double value : values) squares += (value - mean) * (value - mean);
  Figure figure{name, "", mean};
  figure.count = static_cast<int64_t>(values.size());
  if (values.size() > 1) figure.se = std::sqrt(squares / (n - 1) / n);
  return figure;
}

}  // namespace

TaskResult count_scores(const TaskSpec& task, const std::vector<TaskItem>& items,
                        const std::vector<ContinuationScore>& scores, const std::vector<int64_t>& tokens) {
  TaskResult result;
  std::vector<double> acc, acc_norm, loglikelihoods;
  size_t at = 0;
  for (const TaskItem& item : items) {
    NX_CHECK(at + item.choices.size() <= scores.size(), "{} scores", scores.size());
    std::vector<double> sums, means;
    std::vector<int64_t> characters;
    for (size_t i = 0; i < item.choices.size(); ++i) {
      characters.push_back(count_characters(item.choices[i].continuation));
      sums.push_back(scores[at + i].loglikelihood);
      means.push_back(sums.back() / static_cast<double>(characters.back()));
    }
    const std::span<const int64_t> lengths = std::span(tokens).subspan(at, item.choices.size());
    nlohmann::ordered_json line{{"id", item.id},
                                {"loglikelihoods", sums},
                                {"tokens", std::vector<int64_t>(lengths.begin(), lengths.end())},
                                {"characters", characters}};
    if (task.score == TaskScore::kGreedy) {
      acc.push_back(scores[at].greedy ? 1 : 0);
      loglikelihoods.push_back(sums.front());
      line["greedy"] = scores[at].greedy;
      line["gold"] = item.choices.front().continuation;
    } else {
      const size_t prediction = first_highest(sums), prediction_norm = first_highest(means);
      acc.push_back(prediction == item.gold ? 1 : 0);
      acc_norm.push_back(prediction_norm == item.gold ? 1 : 0);
      line["prediction"] = prediction;
      line["prediction_norm"] = prediction_norm;
      line["gold"] = item.gold;
    }
    if (!item.shots.empty()) line["shots"] = item.shots;
    result.lines.push_back(json_text(line));
    at += item.choices.size();
  }
  for (const std::string& name : task.metrics) {
    if (name != "perplexity") {
      result.figures.push_back(mean_of(name, name == "acc" ? acc : acc_norm));
      continue;
    }
    Figure figure = mean_of(name, loglikelihoods);
    figure.value = std::exp(-figure.value);
    figure.se *= figure.value;
    result.figures.push_back(figure);
  }
  return result;
}

}  // namespace nexus
