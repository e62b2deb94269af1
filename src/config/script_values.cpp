#include "config/script_values.h"

#include <fmt/format.h>

#include "config/values.h"
#include "spec/cluster_words.h"
#include "system/environment.h"

namespace nexus {
namespace {

constexpr size_t kMaxWordBytes = 256, kMaxValueBytes = 4096, kMaxItems = 256;

const std::string& short_text(const Node& node, const std::string& key, const std::string& wanted) {
  const std::string& text = scalar_of(node, key, wanted);
  if (text.size() > kMaxValueBytes)
    refuse(node.location, key, fmt::format("{} has {} bytes, more than {}", key, text.size(), kMaxValueBytes),
           "shorten it");
  return text;
}

}  // namespace

std::string WordType::parse(const Node& node, const std::string& key) const {
  if (node.kind == Node::Kind::kNull) return "";
  const std::string word = scalar_of(node, key, describe());
  if (!is_word(word, signs) || word.size() > kMaxWordBytes)
    refuse(node.location, key, fmt::format("{} is {}, not {}", key, nexus::describe(node), describe()),
           "write " + describe());
  return word;
}

std::string WordType::text(const Value& value) const {
  return value.empty() ? "null" : quoted_text(value);
}

std::string WordType::describe() const {
  const std::string first = "one word of letters and digits";
  return signs.empty() ? first + ", or null" : fmt::format("{}, with {} between, or null", first, signs);
}

std::vector<std::string> TextListType::parse(const Node& node, const std::string& key) const {
  if (node.kind == Node::Kind::kNull) return {};
  if (node.kind != Node::Kind::kList || node.children.size() > kMaxItems)
    refuse(node.location, key,
           fmt::format("{} is {}, not a list of at most {} texts", key, nexus::describe(node), kMaxItems),
           "write [A, B]");
  Value list;
  for (size_t i = 0; i < node.children.size(); ++i) {
    const Node& item = node.children[i];
    const std::string path = fmt::format("{}.{}", key, i);
    const std::string text = short_text(item, path, "a text");
    if (text.empty()) refuse(item.location, path, path + " is an empty text", "remove it");
    if (!options && text[0] == '-')
      refuse(item.location, path, fmt::format("{} is {}, an option", path, nexus::describe(item)), "write a name");
    list.push_back(text);
  }
  return list;
}

std::string TextListType::text(const Value& value) const {
  std::string text;
  for (const std::string& item : value) text += (text.empty() ? "" : ", ") + quoted_text(item);
  return "[" + text + "]";
}

std::map<std::string, std::string> EnvironmentType::parse(const Node& node, const std::string& key) const {
  if (node.kind == Node::Kind::kNull) return {};
  if (node.kind != Node::Kind::kMap)
    refuse(node.location, key, fmt::format("{} is {}, not a map of variables", key, nexus::describe(node)),
           "write {NAME: VALUE}");
  Value variables;
  for (size_t i = 0; i < node.keys.size(); ++i) {
    const std::string& name = node.keys[i];
    const Node& value = node.children[i];
    if (!is_variable_name(name) || name.size() > kMaxWordBytes)
      refuse(value.location, key, fmt::format("'{}' cannot name an environment variable", name),
             "use letters, digits and underscores, and do not begin with a digit");
    variables[name] = short_text(value, key + "." + name, "a text (\"\" for an empty one)");
  }
  return variables;
}

std::string EnvironmentType::text(const Value& value) const {
  std::string text;
  for (const auto& [name, content] : value)
    text += (text.empty() ? "" : ", ") + quoted_text(name) + ": " + quoted_text(content);
  return "{" + text + "}";
}

}  // namespace nexus
