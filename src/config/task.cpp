#include "config/task.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "config/config_file.h"
#include "config/values.h"
#include "core/error.h"
#include "core/run_folder.h"
#include "core/units.h"

namespace nexus {
namespace {

constexpr char kTaskReference[] = "docs/evaluation.md";
constexpr char kTemplateExample[] = "a template: \"Question: {question}\"";

const ChoiceType<GoldForm> kGoldForms{{{"index", GoldForm::kIndex},
                                       {"number", GoldForm::kNumber},
                                       {"letter", GoldForm::kLetter},
                                       {"name", GoldForm::kName},
                                       {"text", GoldForm::kText}}};
const ChoiceType<TaskScore> kTaskScores{
    {{"choice", TaskScore::kChoice}, {"greedy", TaskScore::kGreedy}, {"perplexity", TaskScore::kPerplexity}}};
const ChoiceType<DocumentMode> kDocumentModes{{{"file", DocumentMode::kFile},
                                               {"blank-line", DocumentMode::kBlankLine},
                                               {"line", DocumentMode::kLine},
                                               {"jsonl", DocumentMode::kJsonLines}}};
const ChoiceType<bool> kWindows{{{"joined", false}, {"document", true}}};
constexpr int64_t kLongestStride = int64_t{1} << 20;

void require_map(const Node& node, const std::string& path, const std::vector<std::string>& known) {
  if (node.kind != Node::Kind::kMap)
    refuse(node.location, path, fmt::format("{} is {}", path, describe(node)),
           fmt::format("write a map of {}", fmt::join(known, ", ")));
  for (size_t i = 0; i < node.keys.size(); ++i) {
    if (std::ranges::find(known, node.keys[i]) != known.end()) continue;
    const std::string near = nearest(node.keys[i], known);
    refuse(node.children[i].location, path.empty() ? node.keys[i] : path + "." + node.keys[i],
           fmt::format("unknown key '{}'", node.keys[i]),
           near.empty() ? fmt::format("use {}", fmt::join(known, ", ")) : "did you mean " + near + "?");
  }
}

// What `parse` makes of a text of the file; its errors get their place.
template <typename Parse>
auto parsed(const Node& node, const std::string& path, const std::string& wanted, const Parse& parse) {
  const std::string& text = scalar_of(node, path, wanted);
  try {
    return parse(text);
  } catch (const Error& error) {
    refuse(node.location, path, error.fact(), error.todo());
  }
}

// One node, or those of a list.
std::vector<const Node*> one_or_more(const Node& node, const std::string& path, const std::string& wanted) {
  if (node.kind != Node::Kind::kList) return {&node};
  if (node.children.empty()) refuse(node.location, path, path + " is an empty list", "write " + wanted);
  std::vector<const Node*> nodes;
  for (const Node& child : node.children) nodes.push_back(&child);
  return nodes;
}

class TaskReader {
 public:
  explicit TaskReader(const Node& root) : root_(root) {}

  TaskSpec read() {
    if (const Node* node = root_.find("score")) task_.score = kTaskScores.parse(*node, "score");
    if (task_.score == TaskScore::kPerplexity)
      require_map(root_, "", {"task", "score", "text", "tokens", "documents", "field", "windows", "stride"});
    else
      require_map(root_, "",
                  {"task", "items", "labels", "id", "context", "continuation", "choices", "gold", "score", "metrics",
                   "shots", "shots_from", "shots_labels"});
    task_.name = TextType{}.parse(required("task", "a name"), "task");
    require_safe_name("task", task_.name);
    if (task_.score == TaskScore::kPerplexity)
      read_text();
    else
      read_questions();
    return std::move(task_);
  }

 private:
  const Node& required(const std::string& key, const std::string& what) const {
    const Node* node = root_.find(key);
    if (node == nullptr) refuse(root_.location, key, key + " is missing", fmt::format("add {}: {}", key, what));
    return *node;
  }

  // A file's name, or several.
  std::vector<std::string> names(const char* key) const {
    std::vector<std::string> names;
    if (const Node* list = root_.find(key))
      for (const Node* node : one_or_more(*list, key, "FILE")) names.push_back(TextType{}.parse(*node, key));
    return names;
  }

  void read_text() {
    TextSpec& text = task_.text;
    text.files = names("text");
    text.tokens = names("tokens");
    const Node *documents = root_.find("documents"), *field = root_.find("field");
    if (!text.tokens.empty() && !text.files.empty())
      refuse(root_.find("tokens")->location, "tokens", "there are text and tokens", "keep one of them");
    for (const Node* node : {documents, field})
      if (node != nullptr && text.files.empty())
        refuse(node->location, node == field ? "field" : "documents", "it says something of text, and there is none",
               "remove it, or add text: FILE");
    if (documents != nullptr) text.documents = kDocumentModes.parse(*documents, "documents");
    if (field != nullptr && text.documents != DocumentMode::kJsonLines)
      refuse(field->location, "field", "only lines of JSON have fields", "remove it, or write documents: jsonl");
    if (field != nullptr) text.field = TextType{}.parse(*field, "field");
    if (const Node* node = root_.find("windows")) text.by_document = kWindows.parse(*node, "windows");
    if (const Node* node = root_.find("stride")) text.stride = CountType{1, kLongestStride}.parse(*node, "stride");
    task_.metrics = {"token_perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte"};
  }

  void read_questions() {
    required("items", "FILE.jsonl");
    task_.items = names("items");
    if (const Node* node = root_.find("labels")) task_.labels = TextType{}.parse(*node, "labels");
    if (const Node* node = root_.find("id")) task_.id.push_back(template_of(*node, "id"));
    for (const Node* node : one_or_more(required("context", kTemplateExample), "context", kTemplateExample))
      task_.context.push_back(template_of(*node, "context"));
    read_shots();
    if (task_.score == TaskScore::kGreedy)
      read_greedy();
    else
      read_choice();
  }

  static TextTemplate template_of(const Node& node, const std::string& path) {
    if (node.kind != Node::Kind::kMap) return parsed(node, path, kTemplateExample, parse_text_template);
    require_map(node, path, {"text", "then"});
    const Node* text = node.find("text");
    if (text == nullptr) refuse(node.location, path, "the template has no text", "add text: TEMPLATE");
    TextTemplate result = parsed(*text, path + ".text", kTemplateExample, parse_text_template);
    if (const Node* then = node.find("then"))
      for (const Node* each : one_or_more(*then, path + ".then", "[TRANSFORM, ...]"))
        result.then.push_back(parsed(*each, path + ".then", "a transform", parse_text_transform));
    return result;
  }

  void read_shots() {
    const Node *from = root_.find("shots_from"), *labels = root_.find("shots_labels");
    if (const Node* node = root_.find("shots")) task_.shots.count = CountType{0, 1000}.parse(*node, "shots");
    task_.shots.from = names("shots_from");
    if (labels != nullptr) task_.shots.labels = TextType{}.parse(*labels, "shots_labels");
    if (labels != nullptr ? from == nullptr || task_.labels.empty() : from != nullptr && !task_.labels.empty())
      refuse((labels != nullptr ? labels : from)->location, "shots_labels",
             "labels of items and of examples do not go together",
             "where the items' labels are in a file, so are those of shots_from: name both files, or neither");
  }

  void read_greedy() {
    for (const char* key : {"choices", "gold", "labels", "metrics"})
      if (const Node* node = root_.find(key))
        refuse(node->location, key, fmt::format("{} means nothing where the score is greedy", key), "remove it");
    task_.continuation = template_of(required("continuation", kTemplateExample), "continuation");
    task_.metrics = {"acc", "perplexity"};
  }

  void read_choice() {
    const Node* continuation = root_.find("continuation");
    task_.continuation =
        continuation == nullptr ? parse_text_template("{choice}") : template_of(*continuation, "continuation");
    read_choices(required("choices", "[TEMPLATE, TEMPLATE], or {each: FIELD, text: TEMPLATE}"));
    const bool tells_apart = task_.continuation.reads("choice") ||
                             std::ranges::all_of(task_.context, [](const auto& each) { return each.reads("choice"); });
    if (!tells_apart)
      refuse(root_.location, "context", "neither context nor continuation holds {choice}: all choices are the same",
             "put {choice} into one of them");
    read_gold(required("gold", "{field: FIELD, is: index}"));
    const Node* metrics = root_.find("metrics");
    task_.metrics = metrics == nullptr ? std::vector<std::string>{"acc"}
                                       : ChoiceListType{{"acc", "acc_norm"}}.parse(*metrics, "metrics");
    if (task_.metrics.empty()) refuse(metrics->location, "metrics", "nothing is counted", "write [acc]");
  }

  void read_choices(const Node& node) {
    if (node.kind != Node::Kind::kMap) {
      if (node.kind != Node::Kind::kList || node.children.size() < 2)
        refuse(node.location, "choices", fmt::format("choices is {}, not two or more templates", describe(node)),
               "write [TEMPLATE, TEMPLATE], or {each: FIELD, text: TEMPLATE}");
      for (const Node& child : node.children) task_.choices.texts.push_back(template_of(child, "choices"));
      return;
    }
    require_map(node, "choices", {"each", "text", "name"});
    const Node *each = node.find("each"), *text = node.find("text"), *name = node.find("name");
    if (each == nullptr) refuse(node.location, "choices.each", "choices.each is missing", "add each: FIELD, a list");
    task_.choices.each = parsed(*each, "choices.each", "a field", parse_field_path);
    task_.choices.texts.push_back(text == nullptr ? parse_text_template("{this}") : template_of(*text, "choices.text"));
    if (name != nullptr) task_.choices.name.push_back(template_of(*name, "choices.name"));
  }

  void read_gold(const Node& node) {
    require_map(node, "gold", {"field", "is"});
    const Node *field = node.find("field"), *form = node.find("is");
    if ((field == nullptr) == task_.labels.empty())
      refuse(node.location, "gold.field",
             field == nullptr ? "nothing says where the label is" : "the label is in a file and in a field",
             field == nullptr ? "add field: FIELD, or labels: FILE" : "remove gold.field or labels");
    if (field != nullptr) task_.gold = parsed(*field, "gold.field", "a field", parse_field_path);
    if (form == nullptr) refuse(node.location, "gold.is", "gold.is is missing", "add is: " + kGoldForms.describe());
    task_.gold_form = kGoldForms.parse(*form, "gold.is");
    if (task_.gold_form == GoldForm::kName && task_.choices.name.empty())
      refuse(form->location, "gold.is", "the choices have no names", "add choices.name, or write another form");
  }

  const Node& root_;
  TaskSpec task_;
};

}  // namespace

TaskSpec load_task_text(const std::string& text, const std::string& source) {
  const Node root = parse_config_file(text, source, kTaskReference);
  return TaskReader(root).read();
}

TaskSpec load_task(const std::string& file) {
  return load_task_text(read_config_file(file), file);
}

}  // namespace nexus
