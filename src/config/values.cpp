#include "config/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/ascii.h"
#include "core/clean_text.h"
#include "spec/cluster_words.h"
#include "system/expand_path.h"

namespace nexus {
namespace {

constexpr size_t kMaxTextBytes = 4096;
constexpr double kMinPeriodSeconds = 1e-3, kMaxPeriodSeconds = 1e9;

// 010 is eight to YAML 1.1 and ten to YAML 1.2: nobody should have to know.
bool looks_octal(std::string_view text) {
  return text.size() > 1 && text[0] == '0' && is_digit(text[1]);
}

// The whole of `text` as a finite decimal number.
std::optional<double> parse_real(std::string_view text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || !std::isfinite(value) || looks_octal(text))
    return std::nullopt;
  return value;
}

// parse_count without rounding: plain digits do not pass through floating point.
std::optional<int64_t> parse_whole(std::string_view text) {
  if (looks_octal(text)) return std::nullopt;
  int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end == text.data() + text.size() && !text.empty()) {
    if (code != std::errc() || value < 0) return std::nullopt;
    return value;
  }
  return parse_count(text);
}

// The number before `unit` ("200 steps", "200steps"), if `text` ends with it.
std::optional<std::string_view> before_unit(std::string_view text, std::string_view unit) {
  if (!text.ends_with(unit)) return std::nullopt;
  text.remove_suffix(unit.size());
  if (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// A length in steps or tokens that says so: "200 steps", "5M tokens", "5M".
struct Length {
  bool steps = false;
  double value = 0;
};
std::optional<Length> parse_length(std::string_view text) {
  for (const std::string_view unit : {"steps", "step"})
    if (const auto number = before_unit(text, unit)) {
      const auto count = parse_whole(*number);
      return count ? std::optional(Length{true, static_cast<double>(*count)}) : std::nullopt;
    }
  const auto number = before_unit(text, "tokens");
  if (!number && parse_real(text)) return std::nullopt;
  const auto count = parse_whole(number.value_or(text));
  return count ? std::optional(Length{false, static_cast<double>(*count)}) : std::nullopt;
}

// How a number with a unit in small letters is written: "; 5k is written 5K". Empty for anything else.
std::string capital_hint(const Node& node) {
  std::string_view text = node.scalar;
  for (const std::string_view noun : {"steps", "step", "tokens"}) text = before_unit(text, noun).value_or(text);
  std::string written(text);
  const size_t unit = written.find_last_of("kmgtb");
  if (unit == std::string::npos || unit == 0 || !(is_digit(written[unit - 1]) || written[unit - 1] == '.')) return "";
  written[unit] = static_cast<char>(written[unit] - 'a' + 'A');
  if (written.ends_with('G')) written.back() = 'B';
  return parse_count(written) ? fmt::format("; {} is written {}", text, written) : "";
}

[[noreturn]] void refuse_value(const Node& node, const std::string& key, const std::string& wanted) {
  refuse(node.location, key, fmt::format("{} is {}, not {}", key, describe(node), wanted), "write " + wanted);
}

// The same where numbers may have units.
[[noreturn]] void refuse_count(const Node& node, const std::string& key, const std::string& wanted) {
  refuse(node.location, key, fmt::format("{} is {}, not {}", key, describe(node), wanted),
         "write " + wanted + capital_hint(node));
}

// A time that says its unit.
double parse_seconds(const Node& node, const std::string& key, const std::string& wanted) {
  const std::string text = scalar_of(node, key, wanted);
  if (parse_real(text))
    refuse(node.location, key, fmt::format("{} is {}, which has no unit", key, text), "write " + wanted);
  // 30m is half an hour to some and 30 million tokens to others.
  const double seconds = before_unit(text, "m") ? 0 : parse_duration(text).value_or(0);
  if (seconds < kMinPeriodSeconds || seconds > kMaxPeriodSeconds) refuse_value(node, key, wanted);
  return seconds;
}

// Shortest "N%" that reads back as `share`.
std::string percent_text(double share) {
  double percent = share * 100;
  for (int digits = 1; digits <= 17; ++digits) {
    const auto rounded = parse_real(fmt::format("{:.{}g}", share * 100, digits));
    if (rounded.value_or(-1) / 100 != share) continue;
    percent = *rounded;
    break;
  }
  return real_text(percent) + "%";
}

std::string duration_text(double seconds) {
  if (seconds >= 3600 && std::fmod(seconds, 3600) == 0) return real_text(seconds / 3600) + "h";
  if (seconds >= 60 && std::fmod(seconds, 60) == 0) return real_text(seconds / 60) + "min";
  return real_text(seconds) + "s";
}

std::string length_text(double value, const char* unit) {
  return fmt::format("{:.0f} {}", value, unit);
}

}  // namespace

const std::string& scalar_of(const Node& node, const std::string& key, const std::string& wanted) {
  if (node.kind != Node::Kind::kScalar) refuse_value(node, key, wanted);
  return node.scalar;
}

std::string real_text(double value) {
  return fmt::format("{}", value);
}

std::string quoted_text(const std::string& text) {
  bool plain = is_word(text, "_-./");
  for (const char* word : {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}) {
    bool same = text.size() == std::char_traits<char>::length(word);
    for (size_t i = 0; same && i < text.size(); ++i) same = (text[i] | 0x20) == word[i];
    plain = plain && !same;
  }
  // .nan, .inf, 0x10, 1e-4 and the like: what begins as a number could be one.
  if (plain && !is_digit(text[0]) && !(text[0] == '.' && text.size() > 1 && text[1] != '/' && text[1] != '.'))
    return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

int64_t CountType::parse(const Node& node, const std::string& key) const {
  if (!word.empty() && (word == "null" ? node.kind == Node::Kind::kNull : node.scalar == word)) return 0;
  const auto value = parse_whole(scalar_of(node, key, describe()));
  if (!value || *value < min || *value > max) refuse_count(node, key, describe());
  return *value;
}

std::string CountType::text(Value value) const {
  return value == 0 && !word.empty() ? word : fmt::format("{}", value);
}

std::string CountType::describe() const {
  std::string result = fmt::format("a whole number from {} to {}", min, max);
  return word.empty() ? result : result + ", or " + word;
}

double RealType::parse(const Node& node, const std::string& key) const {
  const auto value = parse_real(scalar_of(node, key, describe()));
  if (!value || *value < min || *value > max || (open && *value == min)) refuse_value(node, key, describe());
  return *value;
}

std::string RealType::describe() const {
  return fmt::format("a number {} {} and at most {}", open ? "above" : "of at least", real_text(min), real_text(max));
}

std::optional<double> OptionalRealType::parse(const Node& node, const std::string& key) const {
  if (node.kind == Node::Kind::kNull) return std::nullopt;
  if (node.kind != Node::Kind::kScalar) refuse_value(node, key, describe());
  return real.parse(node, key) * unit;
}

bool FlagType::parse(const Node& node, const std::string& key) const {
  const std::string text = scalar_of(node, key, describe());
  if (text != "true" && text != "false") refuse_value(node, key, describe());
  return text == "true";
}

std::string TextType::parse(const Node& node, const std::string& key) const {
  if (nullable && node.kind == Node::Kind::kNull) return "";
  const std::string text = scalar_of(node, key, describe());
  if (text.empty()) refuse(node.location, key, key + " is an empty text", "write " + describe());
  if (text.size() > kMaxTextBytes)
    refuse(node.location, key, fmt::format("{} has {} bytes, more than {}", key, text.size(), kMaxTextBytes),
           "shorten it");
  return text;
}

std::string PathType::parse(const Node& node, const std::string& key) const {
  const ExpandedPath expanded = expand_path(TextType{nullable}.parse(node, key));
  int line = 0;
  const std::string bad = find_bad_character(expanded.path, false, line);
  if (!expanded.problem.empty() || !bad.empty())
    refuse(node.location, key,
           fmt::format("{} is {}: {}", key, describe(node), bad.empty() ? expanded.problem : "a variable holds " + bad),
           bad.empty() ? expanded.todo : "write the path out");
  return expanded.path;
}

Span SpanType::parse(const Node& node, const std::string& key) const {
  const std::string text = scalar_of(node, key, describe());
  if (text == "0") return {Span::Unit::kSteps, 0};
  if (const auto number = before_unit(text, "%")) {
    const auto percent = parse_real(*number);
    if (percent && *percent >= 0 && *percent <= 100) return {Span::Unit::kShare, *percent / 100};
  } else if (const auto length = parse_length(text)) {
    return {length->steps ? Span::Unit::kSteps : Span::Unit::kTokens, length->value};
  } else if (parse_whole(text)) {
    refuse(node.location, key, fmt::format("{} is {}, which has no unit", key, text),
           fmt::format("write '{0} steps', '{0} tokens' or a share such as 1%", text));
  }
  refuse_count(node, key, describe());
}

std::string SpanType::text(const Value& value) const {
  if (value.value == 0) return "0";
  switch (value.unit) {
    case Span::Unit::kShare: return percent_text(value.value);
    case Span::Unit::kTokens: return length_text(value.value, "tokens");
    case Span::Unit::kSteps: break;
  }
  return length_text(value.value, "steps");
}

Period PeriodType::parse(const Node& node, const std::string& key) const {
  const std::string text = scalar_of(node, key, describe());
  if (text == "never") return {};
  if (parse_real(text))
    refuse(node.location, key, fmt::format("{} is {}, which has no unit", key, text),
           fmt::format("write {}", describe()));
  if (const auto length = parse_length(text); length && length->value > 0)
    return {length->steps ? Period::Unit::kSteps : Period::Unit::kTokens, length->value};
  // 30m is half an hour to some and 30 million tokens to others.
  const double seconds = before_unit(text, "m") ? 0 : parse_duration(text).value_or(0);
  if (!allow_seconds || seconds < kMinPeriodSeconds || seconds > kMaxPeriodSeconds) refuse_count(node, key, describe());
  return {Period::Unit::kSeconds, seconds};
}

std::string PeriodType::text(const Value& value) const {
  switch (value.unit) {
    case Period::Unit::kSeconds: return duration_text(value.value);
    case Period::Unit::kTokens: return length_text(value.value, "tokens");
    case Period::Unit::kSteps: return length_text(value.value, "steps");
    case Period::Unit::kNever: break;
  }
  return "never";
}

std::string PeriodType::describe() const {
  return allow_seconds ? "a time (30s, 30min, 2h), tokens (1B), steps (500 steps) or never"
                       : "tokens (1B), steps (500 steps) or never";
}

double DurationType::parse(const Node& node, const std::string& key) const {
  return scalar_of(node, key, describe()) == "never" ? 0 : parse_seconds(node, key, describe());
}

std::optional<double> OptionalDurationType::parse(const Node& node, const std::string& key) const {
  if (node.kind == Node::Kind::kNull) return std::nullopt;
  return parse_seconds(node, key, describe()) / unit;
}

std::string DurationType::text(Value value) const {
  return value > 0 ? duration_text(value) : "never";
}

size_t parse_choice(const Node& node, const std::string& key, const std::vector<std::string>& names) {
  const std::string text = scalar_of(node, key, join_names(names));
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] == text) return i;
  const std::string close = nearest(text, names);
  refuse(node.location, key, fmt::format("{} is {}, not {}", key, describe(node), join_names(names)),
         close.empty() ? "write one of these" : "did you mean " + close + "?");
}

std::vector<std::string> ChoiceListType::parse(const Node& node, const std::string& key) const {
  Value list;
  if (node.kind == Node::Kind::kNull) return list;
  if (node.kind != Node::Kind::kList)
    refuse(node.location, key, fmt::format("{} is {}, not a list of {}", key, describe(node), join_names(names)),
           fmt::format("write [{}]", names.front()));
  for (size_t i = 0; i < node.children.size(); ++i) {
    const std::string path = fmt::format("{}.{}", key, i);
    const std::string& name = names[parse_choice(node.children[i], path, names)];
    if (std::find(list.begin(), list.end(), name) != list.end())
      refuse(node.children[i].location, path, fmt::format("{} is {} again", path, name), "remove it");
    list.push_back(name);
  }
  return list;
}

std::vector<std::string> PathListType::parse(const Node& node, const std::string& key) const {
  Value list;
  if (node.kind == Node::Kind::kNull) return list;
  if (node.kind != Node::Kind::kList)
    refuse(node.location, key, fmt::format("{} is {}, not a list", key, describe(node)), "write [NAME, NAME]");
  for (size_t i = 0; i < node.children.size(); ++i) {
    const std::string path = fmt::format("{}.{}", key, i);
    list.push_back(PathType{}.parse(node.children[i], path));
    if (std::find(list.begin(), list.end() - 1, list.back()) != list.end() - 1)
      refuse(node.children[i].location, path, fmt::format("{} is {} again", path, list.back()), "remove it");
  }
  return list;
}

std::string PathListType::text(const Value& value) const {
  std::vector<std::string> quoted;
  for (const std::string& each : value) quoted.push_back(quoted_text(each));
  return fmt::format("[{}]", fmt::join(quoted, ", "));
}

std::string join_names(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  return text;
}

}  // namespace nexus
