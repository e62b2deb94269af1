#include <algorithm>
#include <charconv>
#include <utility>

#include "config/yaml_tree.h"
#include "core/clean_text.h"
#include "core/error.h"

namespace nexus {
namespace {

constexpr size_t kMaxShownBytes = 60;

std::vector<std::string> split(const std::string& path) {
  std::vector<std::string> parts(1);
  for (const char c : path) {
    if (c == '.')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

Node& list_item(Node& list, const std::string& part, const Location& location, const std::string& path) {
  size_t index = 0;
  const auto [end, code] = std::from_chars(part.data(), part.data() + part.size(), index);
  if (code != std::errc() || end != part.data() + part.size() || index >= list.children.size())
    refuse(location, path,
           fmt::format("'{}' is no index of this list of {} (the first has index 0)", part, list.children.size()),
           "use an index that exists, or give the whole list");
  return list.children[index];
}

// The child `part` of `node`, made if `node` is a map (or nothing yet) without it.
Node& descend(Node& node, const std::string& part, const Location& location, const std::string& path) {
  if (node.kind == Node::Kind::kList) return list_item(node, part, location, path);
  if (node.kind == Node::Kind::kScalar)
    refuse(location, path, fmt::format("there is a plain value above '{}'", part), "correct the key");
  if (Node* child = node.find(part)) return *child;
  node.kind = Node::Kind::kMap;
  node.keys.push_back(part);
  node.children.emplace_back().location = location;
  return node.children.back();
}

}  // namespace

std::string Location::text() const {
  return line > 0 ? source + ":" + std::to_string(line) : source;
}

void refuse(const Location& location, const std::string& key, const std::string& what, const std::string& todo) {
  throw Error(ErrorKind::kConfig, what, location.text() + (key.empty() ? "" : " key " + key), todo);
}

const Node* Node::find(std::string_view key) const {
  const auto found = std::find(keys.begin(), keys.end(), key);
  return found == keys.end() ? nullptr : &children[static_cast<size_t>(found - keys.begin())];
}

Node* Node::find(std::string_view key) {
  return const_cast<Node*>(std::as_const(*this).find(key));
}

std::string describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull: return "empty";
    case Node::Kind::kList: return "a list";
    case Node::Kind::kMap: return "a map";
    case Node::Kind::kScalar: break;
  }
  if (node.scalar.size() <= kMaxShownBytes) return fmt::format("'{}'", node.scalar);
  size_t cut = kMaxShownBytes;
  while ((static_cast<unsigned char>(node.scalar[cut]) & 0xC0) == 0x80) --cut;  // not inside a UTF-8 character
  return fmt::format("'{}...'", node.scalar.substr(0, cut));
}

void merge(Node& base, Node over) {
  if (base.kind != Node::Kind::kMap || over.kind != Node::Kind::kMap) {
    base = std::move(over);
    return;
  }
  for (size_t i = 0; i < over.keys.size(); ++i) {
    if (Node* twin = base.find(over.keys[i])) {
      merge(*twin, std::move(over.children[i]));
    } else {
      base.keys.push_back(std::move(over.keys[i]));
      base.children.push_back(std::move(over.children[i]));
    }
  }
}

void assign(Node& root, const std::string& assignment) {
  const Location location{"command line", 0};
  const size_t equals = assignment.find('=');
  const std::string path = assignment.substr(0, equals);
  int line = 0;
  if (!find_bad_character(path, false, line).empty())
    refuse(location, "", "a key given by -s holds a control or invisible character", "write -s KEY=VALUE");
  const std::vector<std::string> parts = split(path);
  if (equals == std::string::npos || std::count(parts.begin(), parts.end(), "") > 0)
    refuse(location, "", fmt::format("'{}' is not of the form KEY=VALUE", path),
           "write for example -s stages.1.tokens=2M");
  if (parts.size() > kMaxConfigDepth) refuse(location, "", "the key of -s is nested too deeply", "correct the key");

  Node* node = &root;
  for (const std::string& part : parts) node = &descend(*node, part, location, path);
  Node value = parse_yaml(assignment.substr(equals + 1), location.source, false);
  value.location = location;
  merge(*node, std::move(value));
}

}  // namespace nexus
