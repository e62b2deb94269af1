#include "tasks/task_result.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "config/task.h"

namespace nexus {
namespace {

using nlohmann::json;

TaskItem item(const std::string& id, const std::vector<std::string>& choices, size_t gold) {
  TaskItem result{id, "", {}, gold};
  for (const std::string& choice : choices) result.choices.push_back({"context", choice});
  return result;
}

TEST(TaskResults, CountAccuraciesBySumAndPerCharacter) {
  const TaskSpec task = load_task_text(
      "task: t\nitems: i\ncontext: c\nchoices: [a, \"{b}\"]\ngold: {field: g, is: index}\nmetrics: [acc, acc_norm]\n"
      "continuation: \"{choice}\"\n",
      "t");
  // Of the first item the sum prefers the short choice, the mean per character the long one; of the second both are
  // equal, and the first is taken; characters are code points: 4 of "\u00fc\u00fc\u00fc\u00fc".
  const std::vector<TaskItem> items{item("p", {"a", "bbbb"}, 1), item("q", {"aa", "bb"}, 0),
                                    item("r", {"\u00fc\u00fc\u00fc\u00fc", "bbbbbb"}, 1)};
  const std::vector<ContinuationScore> scores{{-2, false}, {-3, false}, {-5, false},
                                              {-5, false}, {-4, false}, {-5, false}};
  const TaskResult result = count_scores(task, items, scores, {1, 2, 1, 1, 3, 4});
  ASSERT_EQ(result.figures.size(), 2u);
  EXPECT_EQ(result.figures[0].name, "acc");
  EXPECT_DOUBLE_EQ(result.figures[0].value, 1.0 / 3);
  EXPECT_DOUBLE_EQ(result.figures[0].se, std::sqrt(1.0 / 3 * 2 / 3 / 2));  // sqrt(p (1 - p) / (n - 1))
  EXPECT_DOUBLE_EQ(result.figures[1].value, 1);
  EXPECT_EQ(result.figures[1].se, 0);
  EXPECT_EQ(json::parse(result.lines[0]),
            json::parse(R"({"id": "p", "loglikelihoods": [-2.0, -3.0], "tokens": [1, 2], "characters": [1, 4],
                            "prediction": 0, "prediction_norm": 1, "gold": 1})"));
  EXPECT_EQ(json::parse(result.lines[2])["characters"], json::parse("[4, 6]"));
}

TEST(TaskResults, CountGreedyWordsAndTheirPerplexity) {
  const TaskSpec task = load_task_text("task: t\nitems: i\ncontext: c\ncontinuation: \"{w}\"\nscore: greedy\n", "t");
  const std::vector<TaskItem> items{item("0", {"x"}, 0), item("1", {"y"}, 0), item("2", {"z"}, 0)};
  const TaskResult result = count_scores(task, items, {{-1, true}, {-2, false}, {-6, true}}, {1, 1, 2});
  EXPECT_DOUBLE_EQ(result.figures[0].value, 2.0 / 3);
  EXPECT_EQ(result.figures[1].name, "perplexity");
  EXPECT_DOUBLE_EQ(result.figures[1].value, std::exp(3));
  EXPECT_DOUBLE_EQ(result.figures[1].se, std::exp(3) * std::sqrt(7.0 / 3));  // squares 4 + 1 + 9, over n (n - 1)
  EXPECT_EQ(json::parse(result.lines[2]),
            json::parse(R"({"id": "2", "loglikelihoods": [-6.0], "tokens": [2], "characters": [1], "greedy": true,
                            "gold": "z"})"));
  EXPECT_TRUE(std::isnan(count_scores(task, {items[0]}, {{-1, true}}, {1}).figures[0].se));
}

}  // namespace
}  // namespace nexus
