#include "system/expand_path.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>

#include "core/ascii.h"
#include "system/environment.h"

namespace nexus {
namespace {

constexpr char kWriteOut[] = "write the path out";

ExpandedPath refused(const std::string& problem, const std::string& todo) {
  return {"", problem, todo};
}

// The name after the `$` at `at`, and where the text goes on; an empty name for other syntax.
std::string name_after(const std::string& text, size_t at, size_t& next) {
  const bool braces = at + 1 < text.size() && text[at + 1] == '{';
  const size_t begin = at + (braces ? 2 : 1);
  size_t end = begin;
  while (end < text.size() && is_variable_name(std::string_view(text).substr(begin, end + 1 - begin))) ++end;
  next = end + (braces ? 1 : 0);
  if (braces && (end >= text.size() || text[end] != '}')) return "";
  return text.substr(begin, end - begin);
}

// The value of a variable, which must be usable in a path.
ExpandedPath value_of(const std::string& name) {
  const std::optional<std::string> value = find_environment(name);
  if (!value || value->empty())
    return refused(fmt::format("the variable {} is {}", name, value ? "empty" : "not set"),
                   fmt::format("set it where nexus is started, or {}", kWriteOut));
  if (value->find('$') != std::string::npos) return refused(fmt::format("the value of {} holds a $", name), kWriteOut);
  return {*value, "", ""};
}

// What a shell would replace, and this does not; braces that stand around a variable's name are gone by then.
constexpr std::string_view kOtherSyntax = "`{}*?[\\";

ExpandedPath refused_syntax(char found, const std::string& where) {
  return refused(fmt::format("a shell would read the {} in {} as more than a character", found, where),
                 std::string(kWriteOut) + ", in a name without " + std::string(kOtherSyntax));
}

}  // namespace

ExpandedPath expand_path(const std::string& text) {
  ExpandedPath result;
  size_t at = 0;
  if (text.starts_with('~')) {
    if (text.size() > 1 && text[1] != '/')
      return refused("~ stands for the home folder only at the start and before a slash",
                     std::string(kWriteOut) + " (./~... for a name that begins with ~)");
    result = value_of("HOME");
    if (!result.problem.empty()) return result;
    if (const size_t bad = result.path.find_first_of(kOtherSyntax); bad != std::string::npos)
      return refused_syntax(result.path[bad], "the value of HOME");
    at = 1;
  }
  while (at < text.size()) {
    if (kOtherSyntax.find(text[at]) != std::string_view::npos) return refused_syntax(text[at], "the path");
    if (text[at] != '$') {
      result.path += text[at++];
      continue;
    }
    const std::string name = name_after(text, at, at);
    if (name.empty()) return refused("a $ stands before the name of a variable: $NAME or ${NAME}", kWriteOut);
    const ExpandedPath value = value_of(name);
    if (!value.problem.empty()) return value;
    if (const size_t bad = value.path.find_first_of(kOtherSyntax); bad != std::string::npos)
      return refused_syntax(value.path[bad], "the value of " + name);
    result.path += value.path;
  }
  if (result.path.starts_with('~')) return refused("the path begins with ~ once its variables are in", kWriteOut);
  return result;
}

}  // namespace nexus
