// YAML as a small tree of our own, read defensively.
//
// Values stay text: types come from the schema, never from YAML's guesses, so `no`, 010 and 1:30 hold no traps, and
// quotes change nothing but null. Refused, with file and line: more than 256 KiB, nesting deeper than 16, maps of more
// than 256 keys, anchors, aliases, tags, merge keys, duplicate keys, several documents, text that is not UTF-8, and
// control, invisible or bidirectional characters. yaml-cpp is named in yaml_tree.cpp only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nexus {

constexpr size_t kMaxConfigBytes = 256 << 10;
constexpr size_t kMaxConfigDepth = 16;
constexpr size_t kMaxConfigKeys = 256;  // in one map

// Where a value was written.
struct Location {
  std::string source;  // a file, "command line" or "default"
  int line = 0;        // 1 is the first; 0: the source has no lines

  std::string text() const;  // "campaign.yaml:12"
};

// Throws ErrorKind::kConfig: "WHAT; campaign.yaml:12 key model.M; do THIS".
[[noreturn]] void refuse(const Location& location, const std::string& key, const std::string& what,
                         const std::string& todo);

struct Node {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  std::string scalar;             // kScalar
  std::vector<std::string> keys;  // kMap: keys[i] names children[i], in the order of the file
  std::vector<Node> children;     // kList and kMap
  Location location;              // a map's entry: the line of its key

  const Node* find(std::string_view key) const;  // nullptr if this is no map, or has no such key
  Node* find(std::string_view key);
};

// "a map", "a list", "empty" or "'text'", for messages.
std::string describe(const Node& node);

// One document. `source` is a file's name for messages; `with_lines` false: locations carry no line numbers.
Node parse_yaml(const std::string& text, const std::string& source, bool with_lines = true);

// Lays `over` upon `base`: maps merge key by key, everything else replaces.
void merge(Node& base, Node over);

// One `-s KEY=VALUE`: a dotted path, where a number is an index into a list ("stages.1.tokens=2M"); the value is YAML.
void assign(Node& root, const std::string& assignment);

}  // namespace nexus
