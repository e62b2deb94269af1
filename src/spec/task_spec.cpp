#include "spec/task_spec.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/units.h"

namespace nexus {
namespace {

using Kind = TextTransform::Kind;

struct TransformName {
  const char* name;
  Kind kind;
  bool takes_argument;
};

constexpr TransformName kTransforms[] = {
    {"strip", Kind::kStrip, false},
    {"capitalize", Kind::kCapitalize, false},
    {"uncapitalize", Kind::kUncapitalize, false},
    {"clean_marks", Kind::kCleanMarks, false},
    {"before", Kind::kBefore, true},
    {"after", Kind::kAfter, true},
    {"last_word", Kind::kLastWord, false},
    {"without_last_word", Kind::kWithoutLastWord, false},
    {"without_end", Kind::kWithoutEnd, true},
    {"first", Kind::kFirst, true},
    {"from", Kind::kFrom, true},
    {"map", Kind::kMap, true},
};

[[noreturn]] void refuse_template(const std::string& what, const std::string& todo) {
  throw Error(ErrorKind::kConfig, what, "", todo);
}

// The parts of `text` between `separator`s that stand outside of parentheses.
std::vector<std::string> split_outside(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  bool inside = false;
  for (const char c : text) {
    if (c == '(') inside = true;
    if (c == ')') inside = false;
    if (c == separator && !inside)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

// Where the field that begins at `open` ends; braces in parentheses are an argument's own.
size_t closing_brace(const std::string& source, size_t open) {
  bool inside = false;
  for (size_t at = open + 1; at < source.size(); ++at) {
    if (source[at] == '(') inside = true;
    if (source[at] == ')') inside = false;
    if (source[at] == '}' && !inside) return at;
  }
  refuse_template(fmt::format("a brace of '{}' is not closed", source),
                  "write {FIELD}; a brace of the text is {{ or }}");
}

// The character that `source[at]` stands for behind a backslash.
char escaped(const std::string& source, size_t at) {
  switch (at < source.size() ? source[at] : '\0') {
    case 'n': return '\n';
    case 't': return '\t';
    case '\\': return '\\';
    default: break;
  }
  refuse_template(fmt::format("a backslash of '{}' says nothing", source),
                  R"(write \n for a line break, \t for a tab, \\ for a backslash)");
}

}  // namespace

bool TextTemplate::reads(std::string_view field) const {
  return std::ranges::any_of(parts, [&](const Part& part) { return !part.path.empty() && part.path.front() == field; });
}

std::vector<std::string> parse_field_path(const std::string& path) {
  const std::vector<std::string> names = split_outside(path, '.');
  if (std::ranges::any_of(names, [](const std::string& name) {
        return name.empty() || name.find_first_of(" \t\n{}|()") != std::string::npos;
      }))
    refuse_template(fmt::format("'{}' names no field", path),
                    "write a field's name, or a path: question.choices.0.text");
  return names;
}

TextTransform parse_text_transform(const std::string& source) {
  const size_t open = source.find('(');
  const std::string name = source.substr(0, open);
  const auto* found = std::ranges::find_if(kTransforms, [&](const TransformName& each) { return each.name == name; });
  if (found == std::end(kTransforms)) {
    std::vector<std::string> names;
    for (const TransformName& each : kTransforms) names.emplace_back(each.name);
    const std::string near = nearest(name, names);
    refuse_template(fmt::format("there is no transform '{}'", name),
                    near.empty() ? fmt::format("use {}", fmt::join(names, ", ")) : "did you mean " + near + "?");
  }
  std::string argument;
  if (open != std::string::npos) {
    if (source.back() != ')')
      refuse_template(fmt::format("'{}' is no transform", source), fmt::format("write {}(...)", name));
    argument = source.substr(open + 1, source.size() - open - 2);
  }
  if (argument.empty() == found->takes_argument)
    refuse_template(fmt::format("{} takes {} argument", name, found->takes_argument ? "an" : "no"),
                    found->takes_argument ? fmt::format("write {}(...)", name) : "write " + name);
  if (found->kind == Kind::kMap && argument.find('=') == std::string::npos)
    refuse_template(fmt::format("'{}' maps nothing", source), "write map(a=b,c=d)");
  return {found->kind, argument};
}

TextTemplate parse_text_template(const std::string& source) {
  TextTemplate result{source, {}, {}};
  TextTemplate::Part part;
  for (size_t at = 0; at < source.size(); ++at) {
    const char c = source[at];
    const bool doubled = at + 1 < source.size() && source[at + 1] == c;
    if (c == '\\') {
      part.literal += escaped(source, ++at);
    } else if ((c == '{' || c == '}') && doubled) {
      part.literal += c;
      ++at;
    } else if (c == '{') {
      const size_t end = closing_brace(source, at);
      const std::vector<std::string> pipe = split_outside(source.substr(at + 1, end - at - 1), '|');
      part.path = parse_field_path(pipe.front());
      for (size_t i = 1; i < pipe.size(); ++i) part.transforms.push_back(parse_text_transform(pipe[i]));
      result.parts.push_back(std::exchange(part, {}));
      at = end;
    } else if (c == '}') {
      refuse_template(fmt::format("a brace of '{}' is not opened", source), "write {FIELD}; a brace of the text is }}");
    } else {
      part.literal += c;
    }
  }
  if (!part.literal.empty()) result.parts.push_back(part);
  return result;
}

}  // namespace nexus
