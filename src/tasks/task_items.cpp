#include "tasks/task_items.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/ascii.h"
#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/rng.h"
#include "tasks/render_text.h"
#include "workloads/text/foreign_format.h"
#include "workloads/text/text_guard.h"
#include "workloads/text/text_source.h"

namespace nexus {
namespace {

using nlohmann::json;

std::string read_whole_text(const std::string& path) {
  const std::unique_ptr<TextSource> source = open_text(path);
  std::string text, block(1 << 20, '\0');
  for (size_t got = 1; got > 0;) {
    got = source->read(block.data(), block.size());
    text.append(block, 0, got);
  }
  TextGuard guard(path, text.substr(0, kFormatStartBytes));
  guard.feed(text);
  guard.feed({});
  return text;
}

struct Line {
  std::string text, place;
};

// Those that are not blank.
std::vector<Line> lines_of(const std::string& text, const std::string& path) {
  std::vector<Line> lines;
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    ++number;
    if (const std::string line = stripped(text.substr(begin, end - begin)); !line.empty())
      lines.push_back({line, fmt::format("{}:{}", path, number)});
    begin = end + 1;
  }
  return lines;
}

json parsed_item(const Line& line) {
  json item = json::parse(line.text, nullptr, /*allow_exceptions=*/false);
  if (!item.is_object()) throw Error(ErrorKind::kData, "the line is no JSON object", line.place, "correct the file");
  return item;
}

// The choices' texts and names.
struct Choices {
  std::vector<std::string> texts, names;
};

Choices choices_of(const TaskSpec& task, const TextScope& scope) {
  Choices choices;
  if (task.choices.each.empty()) {
    for (const TextTemplate& text : task.choices.texts) choices.texts.push_back(render(text, scope));
    return choices;
  }
  const json* list = find_field(scope, task.choices.each);
  if (list == nullptr || !list->is_array() || list->size() < 2)
    throw Error(ErrorKind::kData,
                fmt::format("field {} is no list of two or more choices", fmt::join(task.choices.each, ".")),
                scope.place, "correct the item, or choices.each of the task");
  for (const json& element : *list) {
    TextScope inner = scope;
    inner.element = &element;
    choices.texts.push_back(render(task.choices.texts.front(), inner));
    if (!task.choices.name.empty()) choices.names.push_back(render(task.choices.name.front(), inner));
  }
  return choices;
}

// The choice that a label names; nothing where it names none.
std::optional<size_t> choice_of(const std::string& label, GoldForm form, const Choices& choices) {
  const size_t count = choices.texts.size();
  const auto index = [count](int64_t number) {
    return number >= 0 && number < static_cast<int64_t>(count) ? std::optional(static_cast<size_t>(number))
                                                               : std::nullopt;
  };
  const auto find = [&label](const std::vector<std::string>& texts) {
    const auto found = std::ranges::find(texts, label);
    return found == texts.end() ? std::nullopt : std::optional(static_cast<size_t>(found - texts.begin()));
  };
  switch (form) {
    case GoldForm::kName: return find(choices.names);
    case GoldForm::kText: return find(choices.texts);
    case GoldForm::kLetter: return label.size() == 1 ? index(to_upper(label[0]) - 'A') : std::nullopt;
    case GoldForm::kIndex:
    case GoldForm::kNumber: break;
  }
  if (form == GoldForm::kIndex && (label == "true" || label == "false")) return index(label == "true" ? 1 : 0);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(label.data(), label.data() + label.size(), number);
  if (error != std::errc() || end != label.data() + label.size()) return std::nullopt;
  return index(number - (form == GoldForm::kNumber ? 1 : 0));
}

const TextTemplate& context_for(const TaskSpec& task, const TextScope& scope) {
  const auto found =
      std::ranges::find_if(task.context, [&](const TextTemplate& each) { return has_fields(each, scope); });
  return found == task.context.end() ? task.context.front() : *found;  // which says what is missing
}

TaskItem make_item(const TaskSpec& task, const Line& line, const Line* label, int64_t number) {
  const json fields = parsed_item(line);
  const TextScope scope{.item = fields, .place = line.place};
  TaskItem item{task.id.empty() ? std::to_string(number) : render(task.id.front(), scope), line.place, {}, 0};
  Choices choices{{""}, {}};
  if (task.score == TaskScore::kChoice) {
    choices = choices_of(task, scope);
    const std::string text = label == nullptr ? field_text(scope, task.gold) : label->text;
    const std::optional<size_t> gold = choice_of(text, task.gold_form, choices);
    if (!gold)
      throw Error(ErrorKind::kData, fmt::format("label '{}' names none of {} choices", text, choices.texts.size()),
                  label == nullptr ? line.place : label->place, "correct the label, or gold of the task");
    item.gold = *gold;
  }
  for (const std::string& choice : choices.texts) {
    TextScope inner = scope;
    if (task.score == TaskScore::kChoice) inner.choice = &choice;
    item.choices.push_back({render(context_for(task, inner), inner), render(task.continuation, inner)});
    if (item.choices.back().continuation.empty())
      throw Error(ErrorKind::kData, "a continuation is empty", line.place, "correct the item, or the task's template");
  }
  return item;
}

// A file of items with its labels, line by line.
class ItemFile {
 public:
  ItemFile(const TaskSpec& task, const std::string& folder, const std::vector<std::string>& names,
           const std::string& labels, const std::string& what)
      : task_(task), path_(find_task_file(folder, names, "the " + what + " of task " + task.name)) {
    const std::string text = read_whole_text(path_);
    digest_ = hash_text(text);
    lines_ = lines_of(text, path_);
    if (lines_.empty()) throw Error(ErrorKind::kData, "there are no items", path_, "fetch the file again");
    if (labels.empty()) return;
    const std::string path = find_task_file(folder, {labels}, "the labels of task " + task.name);
    labels_ = lines_of(read_whole_text(path), path);
    if (labels_.size() != lines_.size())
      throw Error(ErrorKind::kData, fmt::format("{} labels of {} items", labels_.size(), lines_.size()), path,
                  "fetch both files from one source");
  }

  const std::string& path() const { return path_; }
  const std::string& digest() const { return digest_; }
  size_t count() const { return lines_.size(); }
  TaskItem item(size_t i) const {
    return make_item(task_, lines_[i], labels_.empty() ? nullptr : &labels_[i], static_cast<int64_t>(i));
  }

 private:
  const TaskSpec& task_;
  std::string path_, digest_;
  std::vector<Line> lines_, labels_;
};

// `count` different numbers below `pool`, none of them `itself`: counter by counter of the item's own stretch.
std::vector<size_t> draw_shots(const TaskSpec& task, size_t item, size_t pool, std::optional<size_t> itself) {
  const RandomStream stream(task.shots.seed, "shots " + task.name);
  std::vector<size_t> drawn;
  for (uint64_t counter = static_cast<uint64_t>(item) << 32; drawn.size() < static_cast<size_t>(task.shots.count);
       ++counter) {
    const size_t number = stream.below(counter, pool);
    if (number != itself && std::ranges::find(drawn, number) == drawn.end()) drawn.push_back(number);
  }
  return drawn;
}

void put_shots_before(const TaskSpec& task, const ItemFile& examples, bool are_the_items,
                      std::vector<TaskItem>& items) {
  const size_t pool = examples.count() - (are_the_items ? 1 : 0);
  if (pool < static_cast<size_t>(task.shots.count))
    throw Error(ErrorKind::kConfig, fmt::format("{} examples are asked for, there are {}", task.shots.count, pool),
                examples.path(), "lower --shots or shots of the task");
  for (size_t i = 0; i < items.size(); ++i) {
    std::string before;
    for (const size_t number : draw_shots(task, i, examples.count(), are_the_items ? std::optional(i) : std::nullopt)) {
      const TaskItem example = examples.item(number);
      const ContinuationText& right = example.choices[example.gold];
      before += right.context + " " + right.continuation + "\n\n";
      items[i].shots.push_back(example.id);
    }
    for (ContinuationText& choice : items[i].choices) choice.context = before + choice.context;
  }
}

}  // namespace

std::string find_task_file(const std::string& folder, const std::vector<std::string>& names, const std::string& what) {
  for (const std::string& name : names)
    for (const char* packed : {"", ".xz", ".zst"})
      if (std::string path = folder + "/" + name + packed; path_exists(path)) return path;
  throw Error(ErrorKind::kConfig, what + " are not there", folder + "/" + names.front(),
              fmt::format("name the folder that holds {} (or .xz, .zst) with --data", fmt::join(names, " or ")));
}

TaskItems read_task_items(const TaskSpec& task, const std::string& folder, int64_t limit) {
  const ItemFile file(task, folder, task.items, task.labels, "items");
  TaskItems result{file.path(), file.digest(), {}, "", ""};
  const size_t count = limit > 0 ? std::min(file.count(), static_cast<size_t>(limit)) : file.count();
  for (size_t i = 0; i < count; ++i) result.items.push_back(file.item(i));
  if (task.shots.count == 0) return result;
  std::optional<ItemFile> others;
  if (!task.shots.from.empty()) others.emplace(task, folder, task.shots.from, task.shots.labels, "examples");
  const ItemFile& examples = others ? *others : file;
  put_shots_before(task, examples, examples.path() == file.path(), result.items);
  result.shots_path = examples.path();
  result.shots_digest = examples.digest();
  return result;
}

}  // namespace nexus
