#include "config/render.h"

#include <algorithm>

namespace nexus {
namespace {

constexpr size_t kCommentColumn = 40;

std::vector<std::string> split_key(const std::string& key) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= key.size();) {
    const size_t end = std::min(key.find('.', begin), key.size());
    parts.push_back(key.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

bool is_index(const std::string& part) {
  return part.find_first_not_of("0123456789") == std::string::npos;
}

// Spaces before the part at `depth`, or the dash of the list item that it begins.
std::string indent(size_t depth, bool begins_item) {
  return begins_item ? std::string(2 * depth - 2, ' ') + "- " : std::string(2 * depth, ' ');
}

}  // namespace

std::string render_yaml(const std::vector<YamlLine>& lines) {
  std::string text;
  std::vector<std::string> open;  // the path of the line before
  for (const YamlLine& line : lines) {
    const std::vector<std::string> parts = split_key(line.key);
    size_t depth = 0;
    while (depth < open.size() && depth + 1 < parts.size() && open[depth] == parts[depth]) ++depth;
    bool begins_item = false;
    for (; depth + 1 < parts.size(); ++depth) {
      if (!is_index(parts[depth])) text += indent(depth, begins_item) + parts[depth] + ":\n";
      begins_item = is_index(parts[depth]);
    }
    std::string row = indent(depth, begins_item) + (line.commented_out ? "# " : "") + parts.back() + ": " + line.value;
    if (!line.comment.empty()) {
      row.resize(std::max(row.size() + 2, kCommentColumn), ' ');
      row += "# " + line.comment;
    }
    text += row + "\n";
    open = parts;
  }
  return text;
}

}  // namespace nexus
