#include "tasks/perplexity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "config/task.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "workloads/text/token_file.h"
#include "workloads/text/vocabulary.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(EvalWindows, ScoreEveryTokenButTheFirstOnce) {
  // As in training, but for the last one, which reaches back.
  EXPECT_THAT(make_windows(0, 10, 4, 4), ElementsAre(EvalWindow{0, 5, 4}, EvalWindow{4, 9, 4}, EvalWindow{5, 10, 1}));
  EXPECT_THAT(make_windows(100, 8, 4, 2),
              ElementsAre(EvalWindow{100, 105, 4}, EvalWindow{102, 107, 2}, EvalWindow{103, 108, 1}));
  EXPECT_THAT(make_windows(0, 3, 4, 1), ElementsAre(EvalWindow{0, 3, 2}));
  EXPECT_TRUE(make_windows(7, 1, 4, 4).empty());
  for (const auto& [count, context, stride] : {std::array<int64_t, 3>{50, 7, 3}, {50, 7, 1}, {51, 5, 5}, {2, 9, 9}}) {
    std::vector<int> scored(static_cast<size_t>(count));
    for (const EvalWindow& window : make_windows(0, count, context, stride)) {
      EXPECT_LE(window.end - window.begin, context + 1);
      EXPECT_LT(window.scored, window.end - window.begin);
      for (int64_t i = window.end - window.scored; i < window.end; ++i) ++scored[static_cast<size_t>(i)];
    }
    EXPECT_EQ(scored[0], 0);
    for (size_t i = 1; i < scored.size(); ++i) EXPECT_EQ(scored[i], 1) << i;
  }
}

TEST(EvalTexts, CountWordsAsPythonSplitsThem) {
  const auto words = [](const std::string& text) {
    bool inside = false;
    return text_size(text, inside).words;
  };
  EXPECT_EQ(words(""), 0);
  EXPECT_EQ(words(" one  two\n\tthree "), 3);
  EXPECT_EQ(words("a\u00a0b\u3000c\u2003d\u2028e\x1c"
                  "f\u0085g"),
            7);
  EXPECT_EQ(words("\u00e0\u4e00\U0001f600\u200b"), 1);  // a zero-width space is none
  bool inside = false;
  EXPECT_EQ(text_size("hal", inside).words, 1);
  EXPECT_EQ(text_size("f \u00fc", inside).words, 1);
  EXPECT_EQ(text_size(" \u00fc", inside).bytes, 3);
}

class EvalTextTest : public ::testing::Test {
 protected:
  EvalText read(const std::string& keys, bool bos = true) const {
    return read_eval_text(load_task_text("task: t\nscore: perplexity\n" + keys, "task.yaml"), sources(bos));
  }
  TaskSources sources(bool bos = true) const { return {tokenizer_, {8, bos}, folder_.path(), "", 300}; }
  std::vector<int32_t> with_bos(const std::string& text) const {
    std::vector<int32_t> ids = tokenizer_.encode(text);
    ids.insert(ids.begin(), tokenizer_.bos_id());
    return ids;
  }
  TempFolder folder_;
  Tokenizer tokenizer_ = Tokenizer::from_bytes(
      train_vocabulary(std::vector<std::string>(50, "the man saw the sign and the man ran on\n"), 300), "test");
};

TEST_F(EvalTextTest, JoinDocumentsThatBeginWithBos) {
  std::ofstream(folder_ / "t.txt") << "the man\n\nsaw the  sign\n";
  const EvalText text = read("text: t.txt\ndocuments: line");
  std::vector<int32_t> expected = with_bos("the man");
  const auto first = static_cast<int64_t>(expected.size());
  for (const int32_t id : with_bos("saw the  sign")) expected.push_back(id);
  EXPECT_EQ(text.ids, expected);
  ASSERT_EQ(text.documents.size(), 2u);
  EXPECT_EQ(text.documents[1].first, first);
  EXPECT_EQ(text.documents[1].tokens + first, static_cast<int64_t>(expected.size()));
  EXPECT_EQ(text.size.words, 5);
  EXPECT_EQ(text.size.bytes, 20);
  expected.erase(expected.begin() + first);
  expected.erase(expected.begin());
  EXPECT_EQ(read("text: t.txt\ndocuments: line", false).ids, expected);
}

TEST_F(EvalTextTest, PutBosBeforeTokensThatHaveNothingBeforeThem) {
  const std::vector<int32_t> man = tokenizer_.encode("the man"), sign = tokenizer_.encode("the sign");
  TokenFileWriter writer(folder_ / "f", TokenType::kUint16);
  for (const auto& ids : {man, sign}) {
    writer.append(ids.data(), static_cast<int64_t>(ids.size()));
    writer.end_document();
  }
  writer.finish();
  std::vector<int32_t> expected = with_bos("the man");
  EvalText text = read("tokens: [absent, f]");
  expected.insert(expected.end(), sign.begin(), sign.end());
  EXPECT_EQ(text.ids, expected);  // one text: only its beginning has nothing before it
  EXPECT_EQ(text.size.words, 4);
  EXPECT_EQ(text.size.bytes, 15);
  text = read("tokens: f\nwindows: document");
  EXPECT_EQ(text.ids.size(), expected.size() + 1);
  EXPECT_EQ(text.ids[static_cast<size_t>(text.documents[1].first)], tokenizer_.bos_id());
  EXPECT_EQ(read("tokens: f\nwindows: document", false).ids.size(), expected.size() - 1);
}

TEST_F(EvalTextTest, SayWhatIsMissing) {
  EXPECT_NEXUS_ERROR(read("text: t.txt"), ErrorKind::kConfig, HasSubstr("the texts of task t are not there"));
  EXPECT_NEXUS_ERROR(read("tokens: f"), ErrorKind::kConfig, HasSubstr("the tokens of task t are not there"));
  EXPECT_NEXUS_ERROR(read(""), ErrorKind::kConfig, HasSubstr("the run's validation tokens"));
  std::ofstream(folder_ / "t.txt") << "\n";
  EXPECT_NEXUS_ERROR(read("text: t.txt\ndocuments: line"), ErrorKind::kData, HasSubstr("no text to be scored"));
  std::ofstream(folder_ / "t.txt") << "the man";
  const TaskSpec task = load_task_text("task: t\nscore: perplexity\ntext: t.txt\nstride: 9", "task.yaml");
  EXPECT_NEXUS_ERROR(make_perplexity_items(task, read_eval_text(task, sources()), sources(), 0), ErrorKind::kConfig,
                     HasSubstr("the stride is 9, the model reads 8"));
}

TEST_F(EvalTextTest, AreLimitedToWindowsOrDocuments) {
  std::ofstream(folder_ / "t.txt") << "the man saw the sign\nand the man ran on\nthe sign\n";
  const auto items = [&](const std::string& keys, int64_t limit) {
    const TaskSpec task = load_task_text("task: t\nscore: perplexity\ntext: t.txt\ndocuments: line\n" + keys, "t");
    return make_perplexity_items(task, read_eval_text(task, sources()), sources(), limit);
  };
  const PerplexityItems two = items("windows: document", 2);
  EXPECT_EQ(two.items.size(), 2u);
  EXPECT_EQ(two.size.words, 10);
  const PerplexityItems all = items("", 0), one = items("", 1);
  EXPECT_EQ(all.size.bytes, 20 + 18 + 8);
  ASSERT_EQ(one.items.size(), 1u);
  EXPECT_EQ(one.tokens, 8);
  EXPECT_GT(one.size.bytes, 0);
  EXPECT_LT(one.size.bytes, all.size.bytes);
}

TEST(Perplexities, ArePerTokenWordAndByte) {
  PerplexityItems data{{{{{0, 4, 3}, {3, 6, 2}}, {2, 9}}, {{{6, 8, 1}}, {1, 3}}}, 6, {3, 12}};
  const TaskResult result = count_perplexity(data, true, {-6, -2, -4});
  ASSERT_EQ(result.figures.size(), 4u);
  EXPECT_DOUBLE_EQ(result.figures[0].value, std::exp(2));  // 12 nats of 6 tokens, 3 words, 12 bytes
  EXPECT_DOUBLE_EQ(result.figures[1].value, std::exp(4));
  EXPECT_DOUBLE_EQ(result.figures[2].value, std::exp(1));
  EXPECT_DOUBLE_EQ(result.figures[3].value, 1 / std::log(2));
  // Sums 8 and 4 of 5 and 1 tokens at 2 nats a token: off by -2 and 2; sqrt(2 (4 + 4)) = 4 nats in all.
  EXPECT_DOUBLE_EQ(result.figures[0].se, std::exp(2) * 4 / 6);
  EXPECT_DOUBLE_EQ(result.figures[1].se, std::exp(4) * 4 / 3);
  EXPECT_DOUBLE_EQ(result.figures[3].se, 4 / (12 * std::log(2)));
  EXPECT_EQ(nlohmann::json::parse(result.lines[0]),
            nlohmann::json::parse(R"({"id": "0", "loglikelihoods": [-8.0], "tokens": [5], "words": 2, "bytes": 9})"));
  data.items.pop_back();
  EXPECT_TRUE(std::isnan(count_perplexity(data, false, {-6, -2}).figures[0].se));
}

TEST(PerplexityTasks, AreRefusedWithLineAndKey) {
  const auto refused = [](const std::string& keys, const std::string& key, const std::string& what) {
    EXPECT_NEXUS_ERROR(load_task_text("task: t\nscore: perplexity\n" + keys, "t.yaml"), ErrorKind::kConfig,
                       AllOf(HasSubstr("key " + key), HasSubstr(what)));
  };
  refused("context: x", "context", "unknown key");
  refused("text: a\ntokens: b", "tokens", "there are text and tokens");
  refused("tokens: b\ndocuments: line", "documents", "there is none");
  refused("text: a\nfield: b", "field", "only lines of JSON have fields");
  refused("text: a\nstride: 0", "stride", "0");
  refused("text: a\nwindows: all", "windows", "joined");
  EXPECT_TRUE(load_task_text("task: t\nscore: perplexity\nwindows: document", "t").text.by_document);
}

}  // namespace
}  // namespace nexus
