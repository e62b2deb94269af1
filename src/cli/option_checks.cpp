#include "cli/option_checks.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "core/clean_text.h"
#include "core/files.h"
#include "core/units.h"
#include "system/expand_path.h"

namespace nexus {
namespace {

template <typename T>
bool parses(const std::string& text, T& value) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && end == text.data() + text.size();
}

CLI::Validator number(double bound, bool open, double most) {
  return CLI::Validator(
      [=](std::string& text) {
        double value = 0;
        const bool good =
            parses(text, value) && std::isfinite(value) && (open ? value > bound : value >= bound) && value <= most;
        return good ? ""
                    : fmt::format("'{}' is no number {} {} and at most {}", text, open ? "above" : "of at least", bound,
                                  most);
      },
      "NUMBER");
}

// Replaces a path by what a shell would make of it; what is wrong with it, or nothing.
std::string expand(std::string& text) {
  const ExpandedPath expanded = expand_path(text);
  if (!expanded.problem.empty()) return fmt::format("'{}': {}: {}", text, expanded.problem, expanded.todo);
  text = expanded.path;
  return "";
}

// Under this very name; token files are named by their prefix, or by that of their build.
bool lies_there(const std::string& text) {
  for (const char* suffix : {"", ".idx", "-train.idx", "-valid.idx"})
    if (path_exists(text + suffix)) return true;
  return false;
}

}  // namespace

CLI::Validator whole_number(int64_t min, int64_t max) {
  return CLI::Validator(
      [=](std::string& text) {
        int64_t value = 0;
        const bool leading_zero = text.size() > 1 && text[0] == '0';
        const bool good = parses(text, value) && !leading_zero && value >= min && value <= max;
        if (good) return std::string();
        return max == std::numeric_limits<int64_t>::max()
                   ? fmt::format("'{}' is no whole number of at least {}", text, min)
                   : fmt::format("'{}' is no whole number from {} to {}", text, min, max);
      },
      "COUNT");
}

CLI::Validator number_above(double above, double most) {
  return number(above, true, most);
}

CLI::Validator number_from(double least, double most) {
  return number(least, false, most);
}

CLI::Validator duration() {
  return CLI::Validator(
      [](std::string& text) {
        return parse_duration(text) ? std::string() : fmt::format("'{}' is no time: write 90s, 30min or 2h", text);
      },
      "TIME");
}

CLI::Validator path_of_shell() {
  return CLI::Validator(expand, "PATH");
}

CLI::Validator path_to_read() {
  return CLI::Validator([](std::string& text) { return lies_there(text) ? std::string() : expand(text); }, "PATH");
}

CLI::Validator path_for_campaigns() {
  return CLI::Validator(
      [](std::string& text) {
        int line = 0;
        const std::string bad = find_bad_character(text, /*allow_line_breaks=*/false, line);
        return bad.empty() ? expand(text)
                           : fmt::format("the name holds {}: no campaign file could name it: choose another", bad);
      },
      "PATH");
}

}  // namespace nexus
