#include "report/score_table.h"

#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>

#include "core/run_folder.h"
#include "support/expect_error.h"
#include "support/synthetic_run.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// Results of three tasks by hand. `right`: of 8 items of piqa, where the model is right (x) or wrong.
struct Results {
  std::string right = "xxxx....";
  std::vector<double> word{-1, -2, -3, -4}, windows{-10, -20, -31};
  json facts{{"version", "1"},   {"checkpoint", "c"}, {"run_id", "r"}, {"stage", "s"},     {"step", 7},
             {"tokenizer", "t"}, {"context", 32},     {"bos", true},   {"compute", "f32"}, {"limit", 0}};
  json piqa{{"task", "piqa"},
            {"items", 8},
            {"file", "f"},
            {"digest", "p"},
            {"metrics", {{"acc", {{"value", 0.5}, {"se", 0.2}}}}}};
  json text{{"task", "books"}, {"items", 3},   {"file", "f"}, {"digest", "b"}, {"windows", "joined"},
            {"stride", 32},    {"tokens", 30}, {"words", 20}, {"bytes", 90}};

  void write(const std::string& folder) const {
    std::filesystem::create_directories(folder);
    std::ofstream choices(folder + "/" + piqa.at("task").get<std::string>() + ".jsonl"),
        words(folder + "/lambada_openai.jsonl"), texts(folder + "/books.jsonl");
    for (size_t i = 0; i < right.size(); ++i)
      choices << json{{"id", std::to_string(i)},
                      {"loglikelihoods", {-1, -2}},
                      {"tokens", {1, 1}},
                      {"characters", {3, 4}},
                      {"prediction", right[i] == 'x' ? 1 : 0},
                      {"prediction_norm", 0},
                      {"gold", 1}}
              << "\n";
    for (size_t i = 0; i < word.size(); ++i)
      words << json{{"id", std::to_string(i)}, {"loglikelihoods", {word[i]}}, {"tokens", {2}},
                    {"characters", {5}},       {"greedy", word[i] > -2},      {"gold", "w"}}
            << "\n";
    for (size_t i = 0; i < windows.size(); ++i)
      texts << json{{"id", std::to_string(i)}, {"loglikelihoods", {windows[i]}}, {"tokens", {10}}} << "\n";
    json document = facts, lambada = piqa, books = text;
    lambada["task"] = "lambada_openai";
    lambada["digest"] = "l";
    lambada["items"] = word.size();
    lambada["metrics"] = {{"acc", {{"value", 0.25}, {"se", 0.1}}}, {"perplexity", {{"value", 12.2}, {"se", 1.0}}}};
    const auto metric = [](double value) { return json{{"value", value}, {"se", nullptr}}; };
    books["metrics"] = {{"token_perplexity", metric(7.6)},
                        {"word_perplexity", metric(20.1)},
                        {"byte_perplexity", metric(2)},
                        {"bits_per_byte", metric(0.98)}};
    document["tasks"] = {piqa, lambada, books};
    std::ofstream(folder + "/results.json") << document.dump();
  }
};

class ScoreTableTest : public ::testing::Test {
 protected:
  // Two models; `change` makes the second one.
  ScoreTables compared(const std::function<void(Results&)>& change, bool with_baseline = true) const {
    Results second;
    change(second);
    Results().write(folder_ / "base");
    second.write(folder_ / "other");
    return compare_scores({read_model_scores(folder_ / "base"), read_model_scores(folder_ / "other")},
                          with_baseline ? std::optional<size_t>(0) : std::nullopt);
  }
  static const ScoreTest& test_of(const ScoreTables& scores, const std::string& name) {
    for (const ScoreTest& test : scores.tests)
      if ((test.column ? scores.columns[*test.column].name() : "average") == name) return test;
    throw std::runtime_error("no test of " + name);
  }
  TempFolder folder_;
};

TEST_F(ScoreTableTest, HasModelsByTasksAndTheirAverage) {
  const ScoreTables scores = compared([](Results&) {});
  std::vector<std::string> names;
  for (const ScoreColumn& column : scores.columns) names.push_back(column.name());
  EXPECT_THAT(names, ElementsAre("piqa acc", "lambada_openai acc", "lambada_openai perplexity",
                                 "books token_perplexity", "books word_perplexity", "books bits_per_byte"));
  const ScoreRow& base = scores.rows[0];
  EXPECT_EQ(base.label, "base");
  EXPECT_DOUBLE_EQ(base.cells[0]->value, 50);
  EXPECT_DOUBLE_EQ(base.cells[0]->se, 20);
  EXPECT_DOUBLE_EQ(base.cells[2]->value, 12.2);
  EXPECT_DOUBLE_EQ(base.average->value, 37.5);
  EXPECT_DOUBLE_EQ(base.average->se, std::sqrt(20.0 * 20 + 10 * 10) / 2);
  EXPECT_TRUE(scores.warnings.empty());
  const std::string text = to_markdown(score_table(scores));
  EXPECT_THAT(text, HasSubstr("| base (baseline) | 50 ± 20 | 25 ± 10 | 12.2 ± 1.0 | 7.6 | 20.1 | 0.98 | 38 ± 11 |"));
}

TEST_F(ScoreTableTest, TestsAccuraciesItemByItem) {
  // Of eight items two are right for both, two for the baseline only, three for the other only.
  const ScoreTables scores = compared([](Results& r) { r.right = "xx..xxx."; });
  const ScoreTest& test = test_of(scores, "piqa acc");
  EXPECT_EQ(test.model, "other");
  EXPECT_EQ(test.accuracies->only_a, 3);
  EXPECT_EQ(test.accuracies->only_b, 2);
  EXPECT_DOUBLE_EQ(test.p, 1);
  EXPECT_NEAR(test.accuracies->mid, 1 - 10.0 / 32, 1e-12);
  EXPECT_DOUBLE_EQ(test.difference, 12.5);
  EXPECT_NEAR(test.high - test.difference, 1.96 * 100 * std::sqrt(5 - 1.0 / 8) / 8, 1e-2);
  // The average of both tasks: half the difference, half the error, for the other task is equal.
  const ScoreTest& average = test_of(scores, "average");
  EXPECT_DOUBLE_EQ(average.difference, 6.25);
  EXPECT_NEAR(average.high - average.difference, (test.high - test.difference) / 2, 1e-12);
  EXPECT_THAT(to_markdown(score_test_table(scores)),
              AllOf(HasSubstr("against base"), HasSubstr("3 : 2"), HasSubstr("+12.50")));
  EXPECT_TRUE(compared([](Results&) {}, false).tests.empty());
  EXPECT_TRUE(score_test_table(compared([](Results&) {}, false)).rows.empty());
}

TEST_F(ScoreTableTest, TestsPerplexitiesByTheirRatio) {
  const ScoreTables scores = compared([](Results& r) {
    for (double& value : r.word) value -= 0.5;
    for (double& value : r.windows) value -= 3;
  });
  // Every word costs half a nat more: whatever items are drawn.
  const ScoreTest& word = test_of(scores, "lambada_openai perplexity");
  EXPECT_NEAR(word.difference, std::exp(0.5), 1e-12);
  EXPECT_NEAR(word.low, std::exp(0.5), 1e-12);
  EXPECT_NEAR(word.high, std::exp(0.5), 1e-12);
  EXPECT_LT(word.p, 0.002);
  EXPECT_NEAR(test_of(scores, "books token_perplexity").difference, std::exp(9.0 / 30), 1e-12);
  EXPECT_NEAR(test_of(scores, "books word_perplexity").difference, std::exp(9.0 / 20), 1e-12);
  EXPECT_NEAR(test_of(scores, "books bits_per_byte").difference, 9.0 / 90 / std::log(2), 1e-12);
}

TEST_F(ScoreTableTest, RefusesWhatIsNotTheSame) {
  const auto reason = [&](const std::string& name, const std::function<void(Results&)>& change) {
    const ScoreTables scores = compared(change);
    const std::string text = test_of(scores, name).reason;
    if (!text.empty()) {
      EXPECT_THAT(to_markdown(score_test_table(scores)), HasSubstr("not tested: " + text));
      EXPECT_THAT(scores.warnings, Contains(AllOf(HasSubstr("other, " + name), HasSubstr(text))));
      EXPECT_THAT(to_markdown(score_table(scores)), AllOf(HasSubstr(" ‡ |"), HasSubstr("not comparable: " + text)));
    }
    return text;
  };
  EXPECT_EQ(reason("piqa acc", [](Results& r) { r.piqa["digest"] = "q"; }), "the items are others");
  EXPECT_EQ(reason("piqa acc", [](Results& r) { r.facts["limit"] = 8; }), "the number of items is another");
  EXPECT_EQ(reason("piqa acc", [](Results& r) { r.facts["context"] = 64; }), "the context is 64 tokens, base reads 32");
  EXPECT_EQ(reason("piqa acc", [](Results& r) { r.facts["bos"] = false; }), "only one of them begins texts with BOS");
  EXPECT_EQ(reason("piqa acc",
                   [](Results& r) {
                     r.piqa["shots"] = {{"count", 1}, {"seed", 0}, {"digest", "d"}, {"file", "f"}};
                   }),
            "the examples are others");
  EXPECT_EQ(reason("books token_perplexity", [](Results& r) { r.text["stride"] = 8; }), "the windows are others");
  EXPECT_EQ(reason("books bits_per_byte", [](Results& r) { r.facts["tokenizer"] = "u"; }), "the tokenizers differ");
  EXPECT_EQ(reason("piqa acc", [](Results& r) { r.facts["tokenizer"] = "u"; }), "");  // the questions are the same
  EXPECT_EQ(reason("lambada_openai perplexity", [](Results& r) { r.facts["tokenizer"] = "u"; }), "");  // of a word
  const ScoreTables scores = compared([](Results& r) { r.piqa["task"] = "other_task"; });
  EXPECT_EQ(scores.columns.size(), 7u);
  EXPECT_EQ(test_of(scores, "piqa acc").reason, "other was not scored on it");
  EXPECT_FALSE(scores.rows[0].average.has_value());  // not over fewer tasks than the others'
}

TEST_F(ScoreTableTest, MarksWhatIsPublished) {
  const std::string text = to_markdown(score_table(compared([](Results&) {})));
  EXPECT_THAT(text, HasSubstr("| Tokenformer-150M † | 64.9 | 45 | 16.38 | – | – | – | 44.7 ‡ |"));
  EXPECT_THAT(text, HasSubstr("| Nexusformer 240M, from scratch † | – | – | – | – | – | – | 43.73 ‡ |"));
  EXPECT_THAT(text, HasSubstr("| size not told † | 68.39 ‡ |"));
  EXPECT_THAT(text, AllOf(HasSubstr("arXiv 2410.23168"), HasSubstr("the paper's average is over other tasks"),
                          HasSubstr("does not say over which tasks"), HasSubstr("not measured by nexus")));
  const std::string few = to_markdown(score_table(compare_scores({[&] {
                                                                   Results limited;
                                                                   limited.facts["limit"] = 8;
                                                                   limited.write(folder_ / "few");
                                                                   return read_model_scores(folder_ / "few");
                                                                 }()},
                                                                 std::nullopt)));
  EXPECT_THAT(few, AllOf(HasSubstr("| Tokenformer-150M † | 64.9 ‡ |"), HasSubstr("here the first 8")));
}

TEST_F(ScoreTableTest, ShowsNothingPublishedBesideOtherTasks) {
  Results results;
  results.write(folder_ / "own");
  ModelScores model = read_model_scores(folder_ / "own");
  model.tasks = {model.tasks[0], model.tasks[2], model.tasks[0]};
  model.tasks[0].name = "mine";
  model.tasks[2].name = "yours";
  EXPECT_EQ(compare_scores({model}, std::nullopt).rows.size(), 1u);
}

// Their own average, where the tasks are theirs.
TEST_F(ScoreTableTest, ComparesAveragesOfTheSameTasks) {
  Results().write(folder_ / "base");
  ModelScores model = read_model_scores(folder_ / "base");
  for (const auto& [task, metric] : {std::pair{"hellaswag", "acc_norm"},
                                     {"arc_easy", "acc"},
                                     {"arc_challenge", "acc_norm"},
                                     {"winogrande", "acc"}}) {
    model.tasks.push_back(model.tasks.front());
    model.tasks.back().name = task;
    model.tasks.back().metrics.front().name = metric;
  }
  EXPECT_THAT(to_markdown(score_table(compare_scores({model}, std::nullopt))), HasSubstr("| 59.7 | 59.3 |"));
}

TEST_F(ScoreTableTest, ReadsTheNewestScoresThatCountOfARun) {
  write_synthetic_run(grown_run("a_run", "nexusformer", 380.0), folder_ / "run");
  const RunFolder run{folder_ / "run"};
  EXPECT_NEXUS_ERROR(read_model_scores(run.root), ErrorKind::kData, HasSubstr("the run has no scores of tasks"));
  std::ifstream file(run.evals());
  std::vector<json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(json::parse(line));
  const auto write_at = [&](const json& row, int64_t step) {
    Results results;
    results.facts["step"] = step;
    results.write(run.task_results(row.at("stage"), row.at("step")));
  };
  write_at(rows[1], 1);
  EXPECT_EQ(read_model_scores(run.root).step, 1);
  EXPECT_EQ(read_model_scores(run.root).label, "a_run");
  write_at(rows[2], 2);
  EXPECT_EQ(read_model_scores(run.root).step, 2);
  std::ofstream(run.evals(), std::ios::app) << json{{"kind", "resume"},
                                                    {"stage", rows[1].at("stage")},
                                                    {"stage_index", rows[1].at("stage_index")},
                                                    {"step", rows[1].at("step")}}
                                            << "\n";
  EXPECT_EQ(read_model_scores(run.root).step, 1);
}

TEST_F(ScoreTableTest, SaysWhatIsWrongWithAFolder) {
  EXPECT_NEXUS_ERROR(read_model_scores(folder_ / "none"), ErrorKind::kData,
                     HasSubstr("neither a run folder nor results"));
  Results results;
  results.piqa["items"] = 9;
  results.write(folder_ / "a");
  EXPECT_NEXUS_ERROR(read_model_scores(folder_ / "a"), ErrorKind::kData, HasSubstr("8 lines of 9 items"));
  std::ofstream(folder_ / "a" + "/results.json") << R"({"stage": 1})";
  EXPECT_NEXUS_ERROR(read_model_scores(folder_ / "a"), ErrorKind::kData, HasSubstr("malformed results"));
}

TEST_F(ScoreTableTest, EscapesInEveryForm) {
  Results().write(folder_ / "a");
  ModelScores model = read_model_scores(folder_ / "a"), other = model;
  model.label = "50%_a & <b>|\"x\",$";
  other.label = "plain";
  const ScoreReport report =
      write_score_report(compare_scores({other, model}, 0), folder_ / "out", "nexus <report>", "1");
  const auto text = [&](const char* name) {
    std::ifstream file(report.folder + "/" + name);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  EXPECT_THAT(text("zero-shot.tex"),
              AllOf(HasSubstr("50\\%\\_a \\& <b>|\"x\",\\$ & 50 $\\pm$ 20 &"), HasSubstr("\\toprule"),
                    HasSubstr("\\begin{tabular}{lrrrrrrr}"), HasSubstr("Tokenformer-150M $^\\dagger$"),
                    HasSubstr("lambada\\_openai acc \\%"), Not(HasSubstr("±"))));
  EXPECT_THAT(text("zero-shot.html"),
              AllOf(HasSubstr("<!DOCTYPE html>"), HasSubstr("50%_a &amp; &lt;b&gt;|&quot;x&quot;,$"),
                    HasSubstr("nexus &lt;report&gt;"), Not(HasSubstr("<b>"))));
  EXPECT_THAT(
      text("zero-shot.csv"),
      AllOf(HasSubstr("score,\"50%_a & <b>|\"\"x\"\",$\",,piqa,acc,50,20,,,,,,,,\n"), HasSubstr("\ntest,\"50%_a"),
            HasSubstr("score,Tokenformer-150M,\"arXiv 2410.23168, table 1\",piqa,acc,64.9")));
  EXPECT_THAT(text("zero-shot.md"), HasSubstr("| 50%_a & <b>\\|\"x\",$ |"));
  EXPECT_EQ(text("zero-shot.md"), report.markdown);
}

}  // namespace
}  // namespace nexus
