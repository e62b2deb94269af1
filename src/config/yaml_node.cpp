#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "config/yaml_tree.h"
#include "core/error.h"

namespace nexus {
namespace {

constexpr size_t kMaxShownBytes = 60;

struct CharacterRange {
  uint32_t first, last;
  const char* name;
};

// Characters that show nothing, or show something else than is there ("Trojan source", CVE-2021-42574).
constexpr CharacterRange kForbidden[] = {
    {0x00, 0x08, "a control character"},         {0x0B, 0x0C, "a control character"},
    {0x0E, 0x1F, "a control character"},         {0x7F, 0x9F, "a control character"},
    {0xAD, 0xAD, "an invisible character"},      {0x61C, 0x61C, "a bidirectional control character"},
    {0x200B, 0x200D, "an invisible character"},  {0x200E, 0x200F, "a bidirectional control character"},
    {0x2028, 0x2029, "a line separator"},        {0x202A, 0x202E, "a bidirectional control character"},
    {0x2060, 0x2064, "an invisible character"},  {0x2066, 0x2069, "a bidirectional control character"},
    {0xFEFF, 0xFEFF, "a byte order mark"},       {0xFFF9, 0xFFFF, "a character that is no text"},
    {0xE0000, 0xE0FFF, "an invisible character"}};

// The code point at text[at], advancing `at`; nothing if the bytes are no UTF-8 (overlong forms and surrogates
// included).
std::optional<uint32_t> next_code_point(std::string_view text, size_t& at) {
  const auto lead = static_cast<unsigned char>(text[at++]);
  if (lead < 0x80) return lead;
  const size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  if (lead < 0xC2 || lead > 0xF4 || at + more > text.size()) return std::nullopt;
  uint32_t code = lead & (0x3Fu >> more);
  for (size_t i = 0; i < more; ++i) {
    const auto byte = static_cast<unsigned char>(text[at++]);
    if ((byte & 0xC0) != 0x80) return std::nullopt;
    code = code << 6 | (byte & 0x3Fu);
  }
  constexpr uint32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[more] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return std::nullopt;
  return code;
}

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

std::string find_bad_character(std::string_view text, bool allow_line_breaks, int& line) {
  line = 1;
  for (size_t at = 0; at < text.size();) {
    const auto code = next_code_point(text, at);
    if (!code) return "bytes that are not UTF-8";
    if (*code == '\n' || *code == '\r' || *code == '\t') {
      if (!allow_line_breaks) return "a line break or tab";
      line += *code == '\n';
      continue;
    }
    for (const CharacterRange& range : kForbidden)
      if (*code >= range.first && *code <= range.last) return fmt::format("{} (U+{:04X})", range.name, *code);
  }
  return "";
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
