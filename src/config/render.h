// Settings as YAML text.
#pragma once

#include <string>
#include <vector>

namespace nexus {

// One `KEY: VALUE   # comment` of a document; `key` is the dotted path, where a number is the index of a list's item.
struct YamlLine {
  std::string key, value;
  std::string comment = "";  // empty: none
  bool commented_out = false;
};

// Block style, two spaces a level. Lines with a common path must be neighbours.
std::string render_yaml(const std::vector<YamlLine>& lines);

}  // namespace nexus
