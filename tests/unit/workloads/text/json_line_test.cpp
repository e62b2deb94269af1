#include "workloads/text/json_line.h"

#include "core/error.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kPath = "in.jsonl";

std::string text_of(std::string_view line, const std::string& field = "text") {
  return text_of_json_line(line, field, {kPath, 7});
}

void expect_refused(std::string_view line, const std::string& place, const std::string& reason) {
  SCOPED_TRACE(line.substr(0, 80));
  EXPECT_NEXUS_ERROR(text_of(line), ErrorKind::kData, AllOf(HasSubstr("; " + place + ";"), HasSubstr(reason)));
}

TEST(JsonLine, GivesTheTextOfTheField) {
  EXPECT_EQ(text_of(R"({"text": "a\nb", "id": 1})"), "a\nb");
  EXPECT_EQ(text_of(R"( {"meta": {"text": 3, "x": [{"text": "inner"}]}, "text": "\ud83d\ude00 é"} )"), "😀 é");
  EXPECT_EQ(text_of(R"({"text": "a", "body": "b"})", "body"), "b");
  EXPECT_EQ(text_of("{\"text\": \"a\"}\r"), "a");
  EXPECT_EQ(text_of("\xEF\xBB\xBF{\"text\": \"files were joined\"}"), "files were joined");
  EXPECT_EQ(text_of(R"({"text": ""})"), "");
}

TEST(JsonLine, GoesIntoObjects) {
  EXPECT_EQ(
      text_of(R"({"text": "outer", "meta": {"x": {"text": 1}, "text": "inner"}, "n": [{"meta": {}}]})", "meta.text"),
      "inner");
  EXPECT_EQ(text_of(R"({"a": {"b": {"c": "\u00e9\ud83d\ude00\"\\\/\n"}, "c": 2}})", "a.b.c"), "é😀\"\\/\n");
  EXPECT_EQ(text_of(R"({"a": {"b": "in"}, "a.b": "dot", "a\\b": "slash"})", "a\\.b"), "dot");
  EXPECT_EQ(text_of(R"({"a": {"b": "in"}, "a.b": "dot", "a\\b": "slash"})", "a\\b"), "slash");
  EXPECT_EQ(text_of(R"({"": "nameless"})", ""), "nameless");
  const auto refused = [](const char* line, const char* field, const char* place, const char* reason) {
    EXPECT_NEXUS_ERROR(text_of(line, field), ErrorKind::kData, AllOf(HasSubstr(place), HasSubstr(reason)));
  };
  refused(R"({"id": 1, "meta": {"x": 2, "y": 3}, "z": 4})", "meta.text", "in.jsonl:7:1;",
          "no field 'meta.text', but 'x', 'y';");
  refused(R"({"id": 1, "meta": 3})", "meta.text", "in.jsonl:7:1;", "'meta' is a number, not an object");
  refused(R"({"id": 1, "meta": [{"text": "a"}]})", "meta.text", "in.jsonl:7:1;", "'meta' is an array, not an object");
  refused(R"({"id": 1, "meta": {"text": null}})", "meta.text", "in.jsonl:7:19;",
          "the field 'meta.text' is null, not text");
  refused(R"({"meta": {"text": "a"}, "meta": {"x": 1}})", "meta.text", "in.jsonl:7:25;", "is there 2 times");
  refused(R"({"meta": {"text": "a", "text": "b"}})", "meta.text", "in.jsonl:7:2;", "is there 2 times");
  for (const char* name : {".", "a.", ".a", "a..b"})
    EXPECT_NEXUS_ERROR(JsonField(std::string(name)), ErrorKind::kConfig, HasSubstr("a name is empty"));
}

TEST(JsonLine, NamesTheReasonAndTheColumnOfWhatIsNoJson) {
  expect_refused(R"({"text": "half \ud83d"})", "in.jsonl:7:22", "half of a surrogate pair");
  expect_refused(R"({"text": "half \ude00"})", "in.jsonl:7:21", "half of a surrogate pair");
  expect_refused(R"({"text": "fine", "score": NaN})", "in.jsonl:7:27", "NaN is no number in JSON");
  expect_refused(R"({"text": "fine", "score": Infinity})", "in.jsonl:7:27", "Infinity is no number");
  expect_refused(R"({"text": "fine", "score": -Infinity})", "in.jsonl:7:28", "Infinity is no number");
  expect_refused(R"({"text": "cut o)", "in.jsonl:7:16", "cut off");
  expect_refused(R"({"text": "whole", "id": 3)", "in.jsonl:7:26", "cut off");
  expect_refused(R"({"text": "whole", )", "in.jsonl:7:18", "cut off");
  expect_refused(R"({"text": "a",})", "in.jsonl:7:14", "a comma before the closing bracket");
  expect_refused(R"({"x": [1, ], "text": "a"})", "in.jsonl:7:11", "a comma before the closing bracket");
  expect_refused(R"({'text': 'a'})", "in.jsonl:7:2", "double quotes");
  expect_refused(R"({"text": 'a'})", "in.jsonl:7:10", "double quotes");
  expect_refused(R"({"text": "a", "x": None})", "in.jsonl:7:20", "None is Python");
  expect_refused(R"({"text": "a", "x": nan})", "in.jsonl:7:20", "nan is no number in JSON");
  expect_refused(R"({text: "a"})", "in.jsonl:7:2", "the name text stands without double quotes");
  expect_refused(R"({"text": "a"}{"text": "b"})", "in.jsonl:7:14", "more text follows");
  expect_refused(R"({"text": "a"},)", "in.jsonl:7:14", "a comma follows the object");
  expect_refused("{\"text\": \"a\tb\"}", "in.jsonl:7:12", "control character");
  expect_refused("[", "in.jsonl:7:2", "goes on in the next line");
  expect_refused("{ ", "in.jsonl:7:2", "goes on in the next line");
  expect_refused("plain words", "in.jsonl:7:1", "this is no JSON");
  expect_refused(R"({"text" "a"})", "in.jsonl:7:11", "not JSON: unexpected string literal; expected ':'");
  for (const char* line : {R"([{"text": "a"},)", R"([{"text": "a"}, {"text": "b"},)", R"( [{"text":)", R"([ "a",)"})
    expect_refused(line, fmt::format("in.jsonl:7:{}", std::string_view(line).size() + 1), "a JSON array begins here");
  expect_refused("  [", "in.jsonl:7:4", "goes on in the next line");
  expect_refused("]", "in.jsonl:7:1", "an array or object ends here");
  expect_refused("},", "in.jsonl:7:1", "an array or object ends here");
  expect_refused(R"({"text": "a",)", "in.jsonl:7:14", "goes on in the next line");
  // In characters, not in bytes.
  expect_refused(R"({"text": "東京", "x": NaN})", "in.jsonl:7:21", "NaN");
}

TEST(JsonLine, NamesWhatStandsInTheLineInsteadOfText) {
  expect_refused(R"([{"text": "a"}, {"text": "b"}])", "in.jsonl:7:1", "holds an array");
  expect_refused(R"("a")", "in.jsonl:7:1", "holds text, not an object");
  expect_refused("null", "in.jsonl:7:1", "holds null");
  expect_refused("12", "in.jsonl:7:1", "holds a number");
  expect_refused(R"({"text": null})", "in.jsonl:7:10", "the field 'text' is null, not text");
  expect_refused(R"({"text": 3.5})", "in.jsonl:7:10", "is a number");
  expect_refused(R"({"text": ["a"]})", "in.jsonl:7:10", "is an array");
  expect_refused(R"({"text": {"en": "a"}})", "in.jsonl:7:10", "is an object");
  expect_refused(R"({"text": true})", "in.jsonl:7:10", "is true or false");
  expect_refused(R"({"Text": "a", "id": 3})", "in.jsonl:7:1", "there is no field 'text', but 'Text', 'id'");
  expect_refused(R"({"\u001b[31mred": 1})", "in.jsonl:7:1", "but '?[31mred'");
  expect_refused("{\"" + std::string(1000, 'n') + "\": 1}", "in.jsonl:7:1", std::string(60, 'n') + "...'");
  expect_refused("{}", "in.jsonl:7:1", "an empty object");
  expect_refused(R"({"text": "a", "text": "b"})", "in.jsonl:7:15", "the field 'text' is there 2 times");
  expect_refused(R"({"text": null, "text": "b"})", "in.jsonl:7:16", "the field 'text' is there 2 times");
  expect_refused(std::string(1 << 20, '['), "in.jsonl:7:1048577", "a JSON array begins here");
  // Brackets, quotes and names of the same kind elsewhere in the line do not lead astray; columns are characters.
  expect_refused(R"(  {"x": {"text": "in"}, "y": ["text", {"text": 1}, "}\\"], "te\u0078t" : 7})", "in.jsonl:7:74",
                 "is a number");
  expect_refused(R"({"東京": "\\", "text": null})", "in.jsonl:7:22", "is null");
  expect_refused(R"( {"x": [{}]} )", "in.jsonl:7:2", "there is no field 'text', but 'x'");
}

}  // namespace
}  // namespace nexus
