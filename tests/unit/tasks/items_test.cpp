#include "tasks/task_items.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "config/task.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class TaskItemsTest : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const { std::ofstream(folder_ / name) << text; }
  TaskItems read(const std::string& task, const std::string& items, int64_t limit = 0) const {
    write("items.jsonl", items);
    return read_task_items(load_task_text("task: t\nitems: items.jsonl\n" + task, "task.yaml"), folder_.path(), limit);
  }
  // The one item's context and continuation of a choice.
  static std::string joined(const TaskItems& items, size_t choice) {
    const ContinuationText& text = items.items.at(0).choices.at(choice);
    return text.context + "|" + text.continuation;
  }
  TempFolder folder_;
};

// What a template makes of an item whose field `a` is `value` (JSON), in a context.
std::string rendered(const std::string& source, const std::string& value, const std::string& more = "") {
  const TempFolder folder;
  std::ofstream(folder / "items.jsonl") << "{\"a\": " << value << more << "}\n";
  const TaskSpec task =
      load_task_text("task: t\nitems: items.jsonl\nscore: greedy\ncontinuation: x\ncontext: " + source, "t");
  return read_task_items(task, folder.path(), 0).items.at(0).choices.at(0).context;
}

TEST(TaskTemplates, FillInFieldsOfAnyDepth) {
  EXPECT_EQ(rendered("\"<{a}>\"", "\"x\""), "<x>");
  EXPECT_EQ(rendered("\"{a.b.1.c} {{a}}\"", R"({"b": [0, {"c": "deep"}]})"), "deep {a}");
  EXPECT_EQ(rendered("\"{a} {b}\"", "7", ", \"b\": true"), "7 true");
  EXPECT_EQ(rendered("[\"{missing}\", \"{a}!\"]", "\"second\""), "second!");
}

TEST(TaskTemplates, TransformTexts) {
  EXPECT_EQ(rendered("\"{a|strip}\"", R"("\t x y \n")"), "x y");
  EXPECT_EQ(rendered("\"{a|capitalize}\"", "\"the Man\""), "The man");  // as Python's capitalize
  EXPECT_EQ(rendered("\"{a|uncapitalize}\"", "\"The Man\""), "the Man");
  EXPECT_EQ(rendered("\"{a|before(_)}+{a|after(_)|strip}\"", "\"so _ went _ on\""), "so +went _ on");
  EXPECT_EQ(rendered("\"{a|without_last_word}|{a|last_word}\"", R"("two  words\nhere now")"), "two  words\nhere|now");
  EXPECT_EQ(rendered("\"{a|without_last_word}|{a|last_word}\"", "\"one\""), "|one");
  EXPECT_EQ(rendered("\"{a|without_end(.)} {a|without_end(x)}\"", "\"it rained.\""), "it rained it rained.");
  EXPECT_EQ(rendered("\"{a|map(cause=because,effect=so)}\"", "\"effect\""), "so");
  // Places count characters, not bytes.
  EXPECT_EQ(rendered("\"{a|first(n)}X{a|from(n)|after( )}\"", "\"\u00fcber he ran\"", ", \"n\": 5"), "\u00fcber Xran");
}

TEST(TaskTemplates, CleanHellaSwagsMarks) {
  EXPECT_EQ(rendered("\"{a|clean_marks}\"", R"(" [header] How to [title] Wash it. [step] Take  it ")"),
            " How to. Wash it. Take it");
  EXPECT_EQ(rendered("\"{a|clean_marks}\"", R"("a [b [c] d] e [f")"), "a d] e [f");
  EXPECT_EQ(rendered("\"{a|clean_marks}\"", R"("a [b\nc] d    e")"), "a [b\nc] d  e");  // pairs of spaces, once
  // The whole of a template.
  EXPECT_EQ(rendered("{text: \"x {a} y\", then: [clean_marks]}", "\"[b]\""), "x y");
}

TEST(TaskTemplates, SayWhatAnItemLacks) {
  const auto refused = [](const std::string& source, const std::string& value, const std::string& what) {
    EXPECT_NEXUS_ERROR(rendered(source, value), ErrorKind::kData, AllOf(HasSubstr(what), HasSubstr("items.jsonl:1")));
  };
  refused("\"{b}\"", "1", "the item has no field b");
  refused("\"{a.b}\"", "1", "no field a.b");
  refused("\"{a.2}\"", "[1, 2]", "no field a.2");
  refused("\"{a}\"", "[1]", "field a is no text (array)");
  refused("\"{a|before(_)}\"", "\"x\"", "there is no '_' in 'x'");
  refused("\"{a|map(b=c)}\"", "\"x\"", "'x' is not one of map(b=c)");
  refused("\"{a|first(a)}\"", "\"x\"", "'x' of field a is no place");
}

TEST_F(TaskItemsTest, FindTheRightChoiceByEveryFormOfLabel) {
  const auto gold = [&](const std::string& form, const std::string& label) {
    const std::string choices = "choices: {each: c, text: \"{this.t}\", name: \"{this.n}\"}\n";
    return read("context: q\n" + choices + "gold: {field: g, is: " + form + "}",
                R"({"c": [{"t": "x", "n": "1"}, {"t": "y", "n": "B"}, {"t": "z", "n": "A"}], "g": )" + label + "}")
        .items.at(0)
        .gold;
  };
  EXPECT_EQ(gold("index", "2"), 2u);
  EXPECT_EQ(gold("index", "\"0\""), 0u);
  EXPECT_EQ(gold("index", "true"), 1u);
  EXPECT_EQ(gold("index", "false"), 0u);
  EXPECT_EQ(gold("number", "\"3\""), 2u);
  EXPECT_EQ(gold("letter", "\"B\""), 1u);
  EXPECT_EQ(gold("letter", "\"c\""), 2u);
  EXPECT_EQ(gold("name", "\"A\""), 2u);
  EXPECT_EQ(gold("text", "\"y\""), 1u);
  for (const auto& [form, label] : std::vector<std::pair<std::string, std::string>>{
           {"index", "3"}, {"index", "-1"}, {"number", "0"}, {"letter", "\"D\""}, {"name", "\"C\""}, {"text", "\"\""}})
    EXPECT_NEXUS_ERROR(gold(form, label), ErrorKind::kData, HasSubstr("names none of 3 choices"));
}

// Kinds of task that come with no file of ours.
TEST_F(TaskItemsTest, HoldTasksThatNobodyHasSeen) {
  const TaskItems boolean = read(
      "context: '{passage}\\nQuestion: {question}?\\nAnswer:'\nchoices: [\"no\", \"yes\"]\ngold: {field: answer, is: "
      "index}",
      R"({"passage": "P.", "question": "is it", "answer": true})");
  EXPECT_EQ(joined(boolean, 1), "P.\nQuestion: is it?\nAnswer:|yes");
  EXPECT_EQ(boolean.items[0].gold, 1u);

  const TaskItems cause = read(
      "context: \"{premise|without_end(.)} {question|map(cause=because,effect=so)}\"\n"
      "choices: [\"{choice1|uncapitalize}\", \"{choice2|uncapitalize}\"]\ngold: {field: label, is: index}",
      R"({"premise": "It rained.", "question": "effect", "choice1": "She left.", "choice2": "He ran.", "label": 0})");
  EXPECT_EQ(joined(cause, 1), "It rained so|he ran.");

  const TaskItems pronoun = read(
      "context: \"{text|first(at)}{choice}\"\ncontinuation: \"{text|from(at)|after( )}\"\n"
      "choices: {each: options}\ngold: {field: label, is: index}",
      R"({"text": "Ann saw Eve as she left.", "at": 15, "options": ["Ann", "Eve"], "label": 1})");
  EXPECT_EQ(joined(pronoun, 0), "Ann saw Eve as Ann|left.");
  EXPECT_EQ(joined(pronoun, 1), "Ann saw Eve as Eve|left.");

  const TaskItems letters =
      read("context: \"{s}\"\nchoices: {each: q, text: \"{this.0}\", name: \"{this.1}\"}\ngold: {field: g, is: name}",
           R"({"s": "S", "q": [["v", "A"], ["w", "B"], ["x", "C"], ["y", "D"], ["z", "E"]], "g": "E"})");
  EXPECT_EQ(letters.items[0].choices.size(), 5u);
  EXPECT_EQ(letters.items[0].gold, 4u);
}

TEST_F(TaskItemsTest, TakeLabelsFromAFileLineByLine) {
  const std::string task = "labels: l.lst\ncontext: q\nchoices: [\"{a}\", \"{b}\"]\ngold: {is: index}";
  const std::string items = "{\"a\": \"1\", \"b\": \"2\"}\n\n{\"a\": \"3\", \"b\": \"4\"}\n";
  write("l.lst", "0\r\n1\r\n");
  const TaskItems both = read(task, items);
  ASSERT_EQ(both.items.size(), 2u);
  EXPECT_EQ(both.items[1].gold, 1u);
  EXPECT_EQ(both.items[1].id, "1");
  EXPECT_THAT(both.items[1].place, HasSubstr("items.jsonl:3"));
  EXPECT_EQ(read(task, items, 1).items.size(), 1u);
  write("l.lst", "0\n");
  EXPECT_NEXUS_ERROR(read(task, items), ErrorKind::kData, HasSubstr("1 labels of 2 items"));
  write("l.lst", "0\n2\n");
  EXPECT_NEXUS_ERROR(read(task, items), ErrorKind::kData, AllOf(HasSubstr("label '2'"), HasSubstr("l.lst:2")));
  std::filesystem::remove(folder_ / "l.lst");
  EXPECT_NEXUS_ERROR(read(task, items), ErrorKind::kConfig, HasSubstr("the labels of task t are not there"));
}

class TaskShots : public TaskItemsTest {
 protected:
  // Items "q0" to "q7", whose right answers are "right0" to "right7".
  TaskItems shots(const std::string& more, uint64_t seed = 0, int64_t limit = 0) const {
    std::string items;
    for (int i = 0; i < 8; ++i)
      items += fmt::format("{{\"q\": \"q{0}\", \"a\": \"wrong{0}\", \"b\": \"right{0}\", \"g\": 1}}\n", i);
    write("items.jsonl", items);
    TaskSpec task = load_task_text(
        "task: t\nitems: items.jsonl\nid: \"{q}\"\ncontext: \"{q}:\"\nchoices: [\"{a}\", \"{b}\"]\n"
        "gold: {field: g, is: index}\n" +
            more,
        "task.yaml");
    task.shots.seed = seed;
    return read_task_items(task, folder_.path(), limit);
  }
};

TEST_F(TaskShots, StandBeforeEachItemWithABlankLineBetween) {
  const TaskItems found = shots("shots: 3");
  EXPECT_EQ(found.shots_path, found.path);
  EXPECT_EQ(found.shots_digest, found.digest);
  for (const TaskItem& item : found.items) {
    std::string expected;
    ASSERT_EQ(item.shots.size(), 3u);
    for (const std::string& id : item.shots) expected += id + ": right" + id.substr(1) + "\n\n";
    EXPECT_EQ(item.choices[0].context, expected + item.id + ":");
    EXPECT_EQ(item.choices[1].context, item.choices[0].context);
    EXPECT_EQ(item.choices[0].continuation, "wrong" + item.id.substr(1));
    // Never the item itself, and no example twice.
    std::set<std::string> different(item.shots.begin(), item.shots.end());
    different.insert(item.id);
    EXPECT_EQ(different.size(), 4u);
  }
  EXPECT_TRUE(shots("").items[0].shots.empty());
}

TEST_F(TaskShots, AreAFunctionOfSeedTaskAndItem) {
  const TaskItems all = shots("shots: 3", 1), few = shots("shots: 3", 1, 2), others = shots("shots: 3", 2);
  ASSERT_EQ(few.items.size(), 2u);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(few.items[i].shots, all.items[i].shots);  // the limit is not theirs
  size_t equal = 0;
  for (size_t i = 0; i < 8; ++i) equal += all.items[i].shots == others.items[i].shots;
  EXPECT_LT(equal, 8u);
  // All others are asked for: every item has all of them, in an order of its own.
  for (TaskItem item : shots("shots: 7").items) {
    std::ranges::sort(item.shots);
    EXPECT_EQ(std::ranges::unique(item.shots).begin(), item.shots.end());
  }
}

TEST_F(TaskShots, ComeFromAnotherFile) {
  write("dev.jsonl", R"({"q": "d", "a": "yes", "b": "no", "g": 0})");
  const TaskItems found = shots("shots: 1\nshots_from: [none.jsonl, dev.jsonl]");
  EXPECT_THAT(found.shots_path, HasSubstr("dev.jsonl"));
  EXPECT_EQ(found.items[3].choices[0].context, "d: yes\n\nq3:");
  EXPECT_NEXUS_ERROR(shots("shots: 2\nshots_from: dev.jsonl"), ErrorKind::kConfig,
                     HasSubstr("2 examples are asked for, there are 1"));
  EXPECT_NEXUS_ERROR(shots("shots: 8"), ErrorKind::kConfig, HasSubstr("there are 7"));
  EXPECT_NEXUS_ERROR(shots("shots: 1\nshots_from: gone.jsonl"), ErrorKind::kConfig,
                     HasSubstr("the examples of task t are not there"));
  EXPECT_NEXUS_ERROR(shots("shots: 1\nshots_from: dev.jsonl\nshots_labels: l"), ErrorKind::kConfig,
                     HasSubstr("do not go together"));
}

TEST_F(TaskItemsTest, RefuseDataThatIsNone) {
  const std::string task = "context: \"{a}\"\nchoices: {each: c}\ngold: {field: g, is: index}";
  const auto refused = [&](const std::string& items, const std::string& what) {
    EXPECT_NEXUS_ERROR(read(task, items), ErrorKind::kData, HasSubstr(what));
  };
  refused("{\"a\": 1", "items.jsonl:1");
  refused("[1]", "no JSON object");
  refused("\n \n", "there are no items");
  refused(R"({"a": "x", "c": ["y"], "g": 0})", "field c is no list of two or more choices");
  refused(R"({"a": "x", "c": ["y", ""], "g": 0})", "a continuation is empty");
  refused(R"({"a": "x", "c": ["y", "z"]})", "the item has no field g");
  refused(std::string("\x1F\x8B\x08\0\0\0\0\0", 8), "gzip");
  const TaskSpec elsewhere = load_task_text("task: t\nitems: [no.jsonl, none.jsonl]\n" + task, "task.yaml");
  EXPECT_NEXUS_ERROR(read_task_items(elsewhere, folder_.path(), 0), ErrorKind::kConfig,
                     HasSubstr("no.jsonl or none.jsonl"));
}

// What is shipped reads the published forms of the data.
TEST_F(TaskItemsTest, ReadTheTasksThatComeWithNexus) {
  const auto shipped = [&](const std::string& name, const std::string& file, const std::string& line) {
    const TaskSpec task = load_task(std::string(NEXUS_SOURCE_DIR) + "/configs/tasks/" + name + ".yaml");
    EXPECT_EQ(task.name, name);
    write(file, line + "\n");
    return read_task_items(task, folder_.path(), 0);
  };
  const TaskItems lambada = shipped("lambada_openai", "lambada_test.jsonl", R"({"text": "He saw\n\nthe sign"})");
  EXPECT_EQ(joined(lambada, 0), "He saw\n\nthe|sign");

  const std::string endings = R"("endings": ["go. [step] On.", "b", "c", "d"])";
  const TaskItems published =
      shipped("hellaswag", "hellaswag_val.jsonl",
              R"({"activity_label": "Roofs", "ctx_a": "A man sits. [title] There.", "ctx_b": "he", )" + endings +
                  R"(, "label": 3})");
  EXPECT_EQ(joined(published, 0), "Roofs: A man sits.. There. He|go. On.");
  EXPECT_EQ(published.items[0].gold, 3u);
  const TaskItems ready =
      shipped("hellaswag", "hellaswag_val.jsonl",
              R"({"query": "Roofs: A man sits. He", "ctx": "x", )" + endings + R"(, "label": "2"})");
  EXPECT_EQ(joined(ready, 1), "Roofs: A man sits. He|b");

  write("piqa_valid-labels.lst", "1\n");
  const TaskItems piqa = shipped("piqa", "piqa_valid.jsonl", R"({"goal": "To boil", "sol1": "heat", "sol2": "cool"})");
  EXPECT_EQ(joined(piqa, 1), "Question: To boil\nAnswer:|cool");
  EXPECT_EQ(piqa.items[0].gold, 1u);

  const std::string science =
      R"({"id": "M_1", "question": {"stem": "Why?", "choices": [{"text": "x", "label": "1"}, {"text": "y", "label": "2"}]}, "answerKey": "2"})";
  for (const auto& [name, file] : std::vector<std::pair<std::string, std::string>>{
           {"arc_easy", "ARC-Easy-Test.jsonl"}, {"arc_challenge", "ARC-Challenge-Test.jsonl"}}) {
    const TaskItems arc = shipped(name, file, science);
    EXPECT_EQ(joined(arc, 1), "Question: Why?\nAnswer:|y");
    EXPECT_EQ(arc.items[0].gold, 1u);
    EXPECT_EQ(arc.items[0].id, "M_1");
  }
  EXPECT_EQ(joined(shipped("openbookqa", "openbookqa_test.jsonl", science), 0), "Why?|x");

  const TaskItems wino =
      shipped("winogrande", "winogrande_xl_dev.jsonl",
              R"({"sentence": "Ann or _ won it. ", "option1": "Eve", "option2": "Joy", "answer": "2"})");
  EXPECT_EQ(joined(wino, 0), "Ann or Eve|won it.");
  EXPECT_EQ(joined(wino, 1), "Ann or Joy|won it.");
  EXPECT_EQ(wino.items[0].gold, 1u);
}

TEST(TaskFiles, AreRefusedWithLineKeyAndCure) {
  const std::string start = "task: t\nitems: i.jsonl\n", good = "context: \"{q}\"\nchoices: [a, b]\n";
  const auto refused = [&](const std::string& rest, const std::string& place, const std::string& what) {
    EXPECT_NEXUS_ERROR(load_task_text(start + rest, "t.yaml"), ErrorKind::kConfig,
                       AllOf(HasSubstr(place), HasSubstr(what)));
  };
  refused("context: \"{q\"\n", "t.yaml:3 key context", "is not closed");
  refused("context: \"q}\"\n", "t.yaml:3 key context", "is not opened");
  refused("context: 'q\\x'\n", "t.yaml:3 key context", "a backslash of 'q\\x' says nothing");
  refused("context: \"{a b}\"\n", "t.yaml:3 key context", "'a b' names no field");
  refused("context: \"{q|stripp}\"\n", "t.yaml:3 key context", "did you mean strip?");
  refused("context: \"{q|before}\"\n", "t.yaml:3 key context", "before takes an argument");
  refused("context: \"{q|strip(x)}\"\n", "t.yaml:3 key context", "strip takes no argument");
  refused("context: \"{q|map(x)}\"\n", "t.yaml:3 key context", "maps nothing");
  refused("context: {text: q, then: [sing]}\n", "key context.then", "there is no transform 'sing'");
  refused("contxt: q\n", "t.yaml:3 key contxt", "did you mean context?");
  refused("choices: [a, b]\n", "key context", "context is missing");
  refused("context: q\n", "key choices", "choices is missing");
  refused("context: q\nchoices: [a]\n", "key choices", "two or more");
  refused("context: q\nchoices: {text: a}\n", "key choices.each", "missing");
  refused(good, "key gold", "gold is missing");
  refused(good + "gold: {field: g}\n", "key gold.is", "missing");
  refused(good + "gold: {field: g, is: indx}\n", "t.yaml:5 key gold.is", "index");
  refused(good + "gold: {is: index}\n", "key gold.field", "where the label is");
  refused(good + "gold: {field: g, is: name}\n", "key gold.is", "have no names");
  refused(good + "labels: l\ngold: {field: g, is: index}\n", "key gold.field", "in a file and in a field");
  refused(good + "gold: {field: g, is: index}\nmetrics: [f1]\n", "key metrics.0", "acc_norm");
  refused(good + "gold: {field: g, is: index}\nscore: greedy\n", "key choices",
          "means nothing where the score is greedy");
  refused("context: q\nscore: greedy\n", "key continuation", "missing");
  refused(good + "gold: {field: g, is: index}\ncontinuation: x\n", "key context", "all choices are the same");
}

}  // namespace
}  // namespace nexus
