#include "config/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <sstream>

#include "core/clean_text.h"
#include "core/error.h"

namespace nexus {
namespace {

// Builds the tree from yaml-cpp's events. Every refusal happens at the event, before anything grows large.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string source, bool with_lines) : source_(std::move(source)), with_lines_(with_lines) {
    root_.location.source = source_;  // an empty text has no event to set it
  }

  Node take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_extras(mark, "", anchor);
    if (wants_key()) refuse(at(mark), path(), "a key is missing before ':'", "write KEY: VALUE");
    add(Node{}, mark);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse(at(mark), path(), "an alias (*name) is not allowed", "write the value out");
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_extras(mark, tag, anchor);
    int line = 0;
    const std::string bad = find_bad_character(value, false, line);
    if (!bad.empty()) refuse(at(mark), path(), "the text holds " + bad, "remove it");
    if (wants_key()) return set_key(value, mark);
    Node node;
    node.kind = Node::Kind::kScalar;
    node.scalar = value;
    add(std::move(node), mark);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Node::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Node::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  // A list or map that is still open. `key` is the map's key whose value comes next.
  struct Open {
    Node node;
    std::string key;
    int key_line = 0;
    bool has_key = false;
  };

  Location at(const YAML::Mark& mark) const { return {source_, with_lines_ ? mark.line + 1 : 0}; }

  bool wants_key() const {
    return !open_.empty() && open_.back().node.kind == Node::Kind::kMap && !open_.back().has_key;
  }

  // The dotted path of the value that is being read.
  std::string path() const {
    std::string text;
    for (const Open& level : open_) {
      const bool map = level.node.kind == Node::Kind::kMap;
      if (map && !level.has_key) break;
      text += (text.empty() ? "" : ".") + (map ? level.key : std::to_string(level.node.children.size()));
    }
    return text;
  }

  void refuse_extras(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const {
    if (anchor != YAML::NullAnchor) refuse(at(mark), path(), "an anchor (&name) is not allowed", "write the value out");
    // yaml-cpp's own marks: "?" for plain, "!" for quoted text.
    if (!tag.empty() && tag != "?" && tag != "!")
      refuse(at(mark), path(), "a tag (!name) is not allowed", "remove the tag: the key decides the type");
  }

  void open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    refuse_extras(mark, tag, anchor);
    if (wants_key()) refuse(at(mark), path(), "a key must be a word, not a list or map", "write KEY: VALUE");
    if (open_.size() >= kMaxConfigDepth)
      refuse(at(mark), path(), "lists and maps are nested deeper than " + std::to_string(kMaxConfigDepth) + " levels",
             "no key needs this: remove the nesting");
    Open level;
    level.node.kind = kind;
    level.node.location = at(mark);
    open_.push_back(std::move(level));
  }

  void close() {
    Node node = std::move(open_.back().node);
    open_.pop_back();
    attach(std::move(node));
  }

  void set_key(const std::string& key, const YAML::Mark& mark) {
    Open& level = open_.back();
    if (level.node.keys.size() >= kMaxConfigKeys)
      refuse(at(mark), path(), "a map has more than " + std::to_string(kMaxConfigKeys) + " keys", "remove keys");
    if (key == "<<") refuse(at(mark), path(), "a merge key (<<) is not allowed", "write the keys out");
    if (const Node* twin = level.node.find(key))
      refuse(at(mark), path().empty() ? key : path() + "." + key,
             "the key '" + key + "' appears twice (first in line " + std::to_string(twin->location.line) + ")",
             "remove one of the two");
    level.key = key;
    level.key_line = at(mark).line;
    level.has_key = true;
  }

  void add(Node node, const YAML::Mark& mark) {
    node.location = at(mark);
    attach(std::move(node));
  }

  void attach(Node node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& level = open_.back();
    if (level.node.kind == Node::Kind::kMap) {
      node.location.line = level.key_line;
      level.node.keys.push_back(std::move(level.key));
      level.has_key = false;
    }
    level.node.children.push_back(std::move(node));
  }

  std::string source_;
  bool with_lines_;
  std::vector<Open> open_;
  Node root_;
};

void check_text(const std::string& text, const std::string& source, bool with_lines) {
  if (text.size() > kMaxConfigBytes)
    throw Error(ErrorKind::kConfig,
                fmt::format("the configuration has {} bytes, more than {}", text.size(), kMaxConfigBytes), source,
                "such a file is a few kilobytes: is this the right file?");
  int line = 0;
  const std::string bad = find_bad_character(text, true, line);
  if (!bad.empty())
    refuse({source, with_lines ? line : 0}, "", "the text holds " + bad,
           "remove it; the file must be plain UTF-8 text");
}

}  // namespace

Node parse_yaml(const std::string& text, const std::string& source, bool with_lines) {
  check_text(text, source, with_lines);
  TreeBuilder builder(source, with_lines);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    parser.HandleNextDocument(builder);
    TreeBuilder rest(source, with_lines);
    if (parser.HandleNextDocument(rest))
      refuse({source, 0}, "", "there is more than one document", "keep one document per file: remove the '---' lines");
  } catch (const YAML::Exception& error) {
    refuse({source, with_lines && !error.mark.is_null() ? error.mark.line + 1 : 0}, "",
           "this is not YAML: " + error.msg, "correct the line (indentation, colons, brackets, quotes)");
  }
  return builder.take();
}

}  // namespace nexus
