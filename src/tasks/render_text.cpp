#include "tasks/render_text.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "core/ascii.h"
#include "core/error.h"
#include "core/json_text.h"

namespace nexus {
namespace {

using nlohmann::json;

constexpr char kWhiteSpace[] = " \t\n\r\f\v";

[[noreturn]] void refuse_item(const TextScope& scope, const std::string& what) {
  throw Error(ErrorKind::kData, what, scope.place, "correct the item, or the task's template");
}

char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string replaced(std::string text, std::string_view old, std::string_view by) {
  for (size_t at = text.find(old); at != std::string::npos; at = text.find(old, at + by.size()))
    text.replace(at, old.size(), by);
  return text;
}

// The published clean-up: what stands in brackets on one line goes, from each [ to the next ].
std::string without_brackets(const std::string& text) {
  std::string kept;
  for (size_t at = 0; at < text.size(); ++at) {
    const size_t end = text[at] == '[' ? text.find_first_of("]\n", at) : std::string::npos;
    if (end != std::string::npos && text[end] == ']')
      at = end;
    else
      kept += text[at];
  }
  return kept;
}

std::string cleaned(const std::string& text) {
  return replaced(without_brackets(replaced(stripped(text), " [title]", ". ")), "  ", " ");
}

// Bytes of the first `characters`.
size_t bytes_of(const std::string& text, int64_t characters) {
  size_t at = 0;
  for (; characters > 0 && at < text.size(); --characters) do
      ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

size_t offset_of(const TextTransform& transform, const std::string& text, const TextScope& scope) {
  const std::string number = field_text(scope, parse_field_path(transform.argument));
  int64_t count = -1;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), count);
  if (error != std::errc() || end != number.data() + number.size() || count < 0 || count > count_characters(text))
    refuse_item(scope, fmt::format("'{}' of field {} is no place in the text", number, transform.argument));
  return bytes_of(text, count);
}

std::string mapped(const TextTransform& transform, const std::string& text, const TextScope& scope) {
  std::string_view rest = transform.argument;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find(','));
    const size_t equals = pair.find('=');
    if (equals != std::string_view::npos && pair.substr(0, equals) == text) return std::string(pair.substr(equals + 1));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
  }
  refuse_item(scope, fmt::format("'{}' is not one of map({})", text, transform.argument));
}

size_t find_marker(const std::string& text, const std::string& marker, const TextScope& scope) {
  const size_t at = text.find(marker);
  if (at == std::string::npos) refuse_item(scope, fmt::format("there is no '{}' in '{}'", marker, text));
  return at;
}

std::string transformed(const TextTransform& transform, std::string text, const TextScope& scope) {
  using Kind = TextTransform::Kind;
  const std::string& argument = transform.argument;
  switch (transform.kind) {
    case Kind::kStrip: return stripped(text);
    case Kind::kCapitalize: std::ranges::transform(text, text.begin(), to_lower); return capitalized(std::move(text));
    case Kind::kUncapitalize:
      if (!text.empty()) text[0] = to_lower(text[0]);
      return text;
    case Kind::kCleanMarks: return cleaned(text);
    case Kind::kBefore: return text.substr(0, find_marker(text, argument, scope));
    case Kind::kAfter: return text.substr(find_marker(text, argument, scope) + argument.size());
    case Kind::kLastWord: return text.substr(text.rfind(' ') + 1);  // npos + 1 is 0: the only word
    case Kind::kWithoutLastWord: {
      const size_t space = text.rfind(' ');
      return space == std::string::npos ? "" : text.substr(0, space);
    }
    case Kind::kWithoutEnd: return text.ends_with(argument) ? text.substr(0, text.size() - argument.size()) : text;
    case Kind::kFirst: return text.substr(0, offset_of(transform, text, scope));
    case Kind::kFrom: return text.substr(offset_of(transform, text, scope));
    case Kind::kMap: return mapped(transform, text, scope);
  }
  NX_CHECK(false, "unknown transform");
  return text;
}

}  // namespace

std::string stripped(const std::string& text) {
  const size_t begin = text.find_first_not_of(kWhiteSpace);
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(kWhiteSpace) + 1 - begin);
}

int64_t count_characters(const std::string& text) {
  return std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

const json* find_field(const TextScope& scope, const std::vector<std::string>& path) {
  const bool of_element = scope.element != nullptr && path.front() == "this";
  const json* at = of_element ? scope.element : &scope.item;
  for (size_t i = of_element ? 1 : 0; i < path.size(); ++i) {
    if (at->is_object()) {
      const auto found = at->find(path[i]);
      if (found == at->end()) return nullptr;
      at = &*found;
    } else {
      size_t index = 0;
      const std::string& name = path[i];
      const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
      if (!at->is_array() || error != std::errc() || end != name.data() + name.size() || index >= at->size())
        return nullptr;
      at = &(*at)[index];
    }
  }
  return at;
}

std::string field_text(const TextScope& scope, const std::vector<std::string>& path) {
  if (scope.choice != nullptr && path == std::vector<std::string>{"choice"}) return *scope.choice;
  const json* value = find_field(scope, path);
  if (value == nullptr) refuse_item(scope, fmt::format("the item has no field {}", fmt::join(path, ".")));
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_number() && !value->is_boolean())
    refuse_item(scope, fmt::format("field {} is no text ({})", fmt::join(path, "."), value->type_name()));
  return json_text(*value);
}

bool has_fields(const TextTemplate& source, const TextScope& scope) {
  return std::ranges::all_of(source.parts, [&](const TextTemplate::Part& part) {
    const bool is_choice = part.path == std::vector<std::string>{"choice"} && scope.choice != nullptr;
    return part.path.empty() || is_choice || find_field(scope, part.path) != nullptr;
  });
}

std::string render(const TextTemplate& source, const TextScope& scope) {
  std::string text;
  for (const TextTemplate::Part& part : source.parts) {
    text += part.literal;
    if (part.path.empty()) continue;
    std::string value = field_text(scope, part.path);
    for (const TextTransform& each : part.transforms) value = transformed(each, std::move(value), scope);
    text += value;
  }
  for (const TextTransform& each : source.then) text = transformed(each, std::move(text), scope);
  return text;
}

}  // namespace nexus
