// Types of values that end up in job scripts. YAML's reader has refused control, invisible and bidirectional characters
// already; scripts quote what they take all the same.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/yaml_tree.h"

namespace nexus {

// One word (spec/cluster_words.h) with `signs` besides letters and digits. null: none.
struct WordType {
  using Value = std::string;
  std::string_view signs;
  Value parse(const Node& node, const std::string& key) const;
  std::string text(const Value& value) const;
  std::string describe() const;
};

// A list of texts, none of them empty.
struct TextListType {
  using Value = std::vector<std::string>;
  bool options = false;  // they may begin with a dash
  Value parse(const Node& node, const std::string& key) const;
  std::string text(const Value& value) const;
};

// Environment variables: names of letters, digits and underscores that do not begin with a digit; any text as value.
struct EnvironmentType {
  using Value = std::map<std::string, std::string>;
  Value parse(const Node& node, const std::string& key) const;
  std::string text(const Value& value) const;
};

}  // namespace nexus
