// A zero-shot task as plain data: where its items lie, how an item becomes contexts and continuations, which of them is
// right, and what is counted (docs/evaluation.md). `config/task.h` reads it from a file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "workloads/text/document_reader.h"

namespace nexus {

// What is done with a text, in the order of the pipe.
struct TextTransform {
  enum class Kind {
    kStrip,            // white space at both ends
    kCapitalize,       // the first letter large, all others small (ASCII)
    kUncapitalize,     // the first letter small
    kCleanMarks,       // HellaSwag's clean-up: " [title]" is ". ", [other marks] go, two spaces are one
    kBefore,           // up to the first `argument`, which must be there
    kAfter,            // from behind it
    kLastWord,         // behind the last space
    kWithoutLastWord,  // up to the last space
    kWithoutEnd,       // without `argument` at its end, if it ends so
    kFirst,            // as many characters as the item's field `argument` says
    kFrom,             // all but these
    kMap,              // `argument` is "a=b,c=d": what stands for the text, which must be one of them
  };
  Kind kind = Kind::kStrip;
  std::string argument{};
};

// "{activity_label}: {ctx_b|capitalize}": literal text and fields of an item, each with transforms. A field is a path,
// question.choices.0.text; two names are not of the item: `this`, the element of a list that a choice is made of, and
// `choice`, its text. \n in a template is a line break, \t a tab, \\ a backslash, {{ and }} are braces.
struct TextTemplate {
  struct Part {
    std::string literal;            // before the field
    std::vector<std::string> path;  // empty: no field, the template ends
    std::vector<TextTransform> transforms;
  };
  std::string source;  // as it was written
  std::vector<Part> parts;
  std::vector<TextTransform> then;  // of the whole text

  bool reads(std::string_view field) const;  // as the first name of a path
};

// Throws ErrorKind::kConfig with what is wrong and the cure; where it stands is the caller's to say.
TextTemplate parse_text_template(const std::string& source);
TextTransform parse_text_transform(const std::string& source);
// "question.choices.0" by its names. Throws like these.
std::vector<std::string> parse_field_path(const std::string& path);

// Which choice is right, by the value of a field or of a line of the labels file.
enum class GoldForm {
  kIndex,   // from 0; true and false are 1 and 0
  kNumber,  // from 1
  kLetter,  // A is the first
  kName,    // the name of the choice (ChoiceSpec::name)
  kText,    // its text
};

struct ChoiceSpec {
  std::vector<TextTemplate> texts;  // a choice each; with `each`, one for all
  std::vector<std::string> each;    // path of a list, whose elements are a choice each; empty: `texts` are the choices
  std::vector<TextTemplate> name;   // of an element, at most one
};

// Solved examples in front of each item (few-shot).
struct ShotSpec {
  int64_t count = 0;              // of each item
  uint64_t seed = 0;              // which ones: a function of seed, task and number of the item
  std::vector<std::string> from;  // file of the examples, as `items`; empty: the task's items but the one that is asked
  std::string labels;             // of `from`, where `labels` has the task's own
};

enum class TaskScore {
  kChoice,      // the choice of the highest log-likelihood
  kGreedy,      // one continuation: is each of its tokens the likeliest one, and its perplexity
  kPerplexity,  // no questions: a whole text (TaskSpec::text)
};

// A text or a token file whose every token is scored. One of `files` and `tokens`, or neither: the run's validation
// tokens.
struct TextSpec {
  std::vector<std::string> files;   // in the data folder, plain or with .xz or .zst: the first that is there
  std::vector<std::string> tokens;  // prefixes of token files there: the first that is there
  DocumentMode documents = DocumentMode::kFile;  // of `files`
  std::string field = "text";                    // of JSON Lines
  bool by_document = false;                      // windows within each document, not over all of them joined
  int64_t stride = 0;                            // tokens from one window to the next; 0: the context
};

struct TaskSpec {
  std::string name;
  std::vector<std::string> items;  // JSON Lines in the data folder, plain or with .xz or .zst: the first that is there
  std::string labels;              // file with a label a line; empty: labels are the items' own
  std::vector<TextTemplate> id;    // at most one; none: the number of the item, from 0
  std::vector<TextTemplate> context;  // the first whose fields the item has
  TextTemplate continuation;          // behind one joining space
  ChoiceSpec choices;                 // of kChoice
  std::vector<std::string> gold;      // path of the label; empty with `labels`
  GoldForm gold_form = GoldForm::kIndex;
  TaskScore score = TaskScore::kChoice;
  ShotSpec shots;
  TextSpec text;  // of kPerplexity, which has a name and nothing else
  std::vector<std::string>
      metrics;  // of kChoice: "acc", "acc_norm"; the first is the task's own. kGreedy: acc, perplexity
};

}  // namespace nexus
