// The types of configuration values. A type has a C++ `Value`, reads it from a node (refusing with file, line and key),
// writes its canonical text (which reads back as the same value), and describes itself for people.
#pragma once

#include <fmt/ranges.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/yaml_tree.h"
#include "core/units.h"
#include "spec/campaign_spec.h"

namespace nexus {

// The text of a scalar. Lists, maps and null are refused with `wanted` as the cure.
const std::string& scalar_of(const Node& node, const std::string& key, const std::string& wanted);

// Shortest decimal text that reads back as the same double.
std::string real_text(double value);
// YAML (and JSON) text of a string: plain where no reader could take it for something else, double-quoted otherwise.
std::string quoted_text(const std::string& text);

// A whole number with an optional unit: 512, 100B, 1Mi. `word` is a name for the value 0 ("auto"; "null" means empty).
struct CountType {
  using Value = int64_t;
  int64_t min = 0, max = 0;
  std::string word = "";
  Value parse(const Node& node, const std::string& key) const;
  std::string text(Value value) const;
  std::string describe() const;
};

// A finite decimal number. `open` excludes the lower bound.
struct RealType {
  using Value = double;
  double min = 0, max = 0;
  bool open = false;
  Value parse(const Node& node, const std::string& key) const;
  std::string text(Value value) const { return real_text(value); }
  std::string describe() const;
};

// A number, or null for nothing. The member holds `unit` times what is written (1e9: gigabytes are kept as bytes).
struct OptionalRealType {
  using Value = std::optional<double>;
  RealType real;
  double unit = 1;
  Value parse(const Node& node, const std::string& key) const;
  std::string text(const Value& value) const { return value ? real_text(*value / unit) : "null"; }
  std::string describe() const { return real.describe() + ", or null"; }
};

// true or false; YAML's other spellings (yes, no, on, off) are refused.
struct FlagType {
  using Value = bool;
  Value parse(const Node& node, const std::string& key) const;
  std::string text(Value value) const { return value ? "true" : "false"; }
  std::string describe() const { return "true or false"; }
};

// Text of at most 4096 bytes. `nullable`: null means empty.
struct TextType {
  using Value = std::string;
  bool nullable = false;
  Value parse(const Node& node, const std::string& key) const;
  std::string text(const Value& value) const { return value.empty() ? "null" : quoted_text(value); }
  std::string describe() const { return nullable ? "a text, or null" : "a text"; }
};

// A file or folder: `~` and variables are expanded (system/expand_path.h), so that the value is what was meant on the
// machine that read it. `nullable`: null means empty.
struct PathType {
  using Value = std::string;
  bool nullable = false;
  Value parse(const Node& node, const std::string& key) const;
  std::string text(const Value& value) const { return TextType{nullable}.text(value); }
};

// A length of training: "1%" of the stage, "200 steps", "1.2B" or "1200000 tokens". A bare number has no unit: refused.
struct SpanType {
  using Value = Span;
  Value parse(const Node& node, const std::string& key) const;
  std::string text(const Value& value) const;
  std::string describe() const { return "a share of the stage (1%), steps (200 steps) or tokens (20M), or 0"; }
};

// A period: "30min", "1B" tokens, "500 steps", or never.
struct PeriodType {
  using Value = Period;
  bool allow_seconds = true;
  Value parse(const Node& node, const std::string& key) const;
  std::string text(const Value& value) const;
  std::string describe() const;
};

// A time in seconds: "90s", "5min", or never (0).
struct DurationType {
  using Value = double;
  Value parse(const Node& node, const std::string& key) const;
  std::string text(Value value) const;
  std::string describe() const { return "a time (90s, 5min, 1h) or never"; }
};

// A time, or null for nothing. The member counts `unit` seconds (3600: hours).
struct OptionalDurationType {
  using Value = std::optional<double>;
  double unit = 1;
  Value parse(const Node& node, const std::string& key) const;
  std::string text(const Value& value) const { return value ? DurationType{}.text(*value * unit) : "null"; }
  std::string describe() const { return "a time (90s, 5min, 20000h), or null"; }
};

// The index of the chosen name; see ChoiceType.
size_t parse_choice(const Node& node, const std::string& key, const std::vector<std::string>& names);
std::string join_names(const std::vector<std::string>& names);

// A list of some of a few names; null: none.
struct ChoiceListType {
  using Value = std::vector<std::string>;
  std::vector<std::string> names;
  Value parse(const Node& node, const std::string& key) const;
  std::string text(const Value& value) const { return fmt::format("[{}]", fmt::join(value, ", ")); }
};

// A list of different files or folders, as PathType has them; null: none.
struct PathListType {
  using Value = std::vector<std::string>;
  Value parse(const Node& node, const std::string& key) const;
  std::string text(const Value& value) const;
};

// One of a few names.
template <typename E>
struct ChoiceType {
  using Value = E;
  std::vector<std::pair<std::string, E>> choices;

  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& choice : choices) result.push_back(choice.first);
    return result;
  }
  Value parse(const Node& node, const std::string& key) const {
    return choices[parse_choice(node, key, names())].second;
  }
  std::string text(const Value& value) const {
    for (const auto& [name, candidate] : choices)
      if (candidate == value) return name;
    return "";
  }
  std::string describe() const { return join_names(names()); }
};

}  // namespace nexus
