#include "config/read_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "config/schema.h"
#include "config/values.h"

namespace nexus {
namespace {

constexpr size_t kMaxListItems = 1000;

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::string last_part(const std::string& key) {
  return key.substr(key.rfind('.') + 1);
}

// The keys and maps that may stand directly under `section` ("model." or "").
template <typename Spec>
std::set<std::string> names_under(const Table<Spec>& table, const std::string& section) {
  std::set<std::string> names;
  for (const Field<Spec>& field : table)
    if (field.key.starts_with(section)) {
      const std::string rest = field.key.substr(section.size());
      names.insert(rest.substr(0, rest.find('.')));
    }
  return names;
}

// Keys of any table that end with `name`, as a user would write their path.
template <typename Spec>
void add_homes(const Table<Spec>& table, const std::string& prefix, const std::string& name,
               std::vector<std::string>& homes) {
  for (const Field<Spec>& field : table)
    if (last_part(field.key) == name || field.key.substr(0, field.key.find('.')) == name) {
      const bool section = last_part(field.key) != name;
      homes.push_back(prefix + (section ? name : field.key));
    }
}

std::string suggestion(const std::set<std::string>& known, const std::string& prefix, const std::string& name) {
  for (const std::string& candidate : known)
    if (lower(candidate) == lower(name)) return "did you mean " + prefix + candidate + "?";
  for (const std::string& candidate : known)
    if (lower(candidate)[0] == lower(name)[0] && edit_distance(lower(candidate), lower(name)) <= 1)
      return "did you mean " + prefix + candidate + "?";
  if (const std::string close = nearest(name, known); !close.empty()) return "did you mean " + prefix + close + "?";
  std::vector<std::string> homes;
  add_homes(campaign_table(), "", name, homes);
  add_homes(stage_table(), "stages.0.", name, homes);
  if (!homes.empty()) return "did you mean " + homes.front() + "?";
  return fmt::format("use one of {}", fmt::join(known, ", "));
}

Node preset_node(const std::string& preset) {
  if (preset.starts_with('[')) return parse_yaml(preset, "default", false);
  Node node;
  node.location.source = "default";
  if (preset == "null") return node;
  node.kind = Node::Kind::kScalar;
  node.scalar = preset;
  return node;
}

class Reader {
 public:
  ReadSpec read(const Node& root) {
    read_map(root, "", campaign_table(), result_.spec);
    return std::move(result_);
  }

 private:
  using Given = std::map<std::string, const Node*>;  // the table's key -> what was written

  // Reads one map by its table. `prefix` is the map's own path with a dot: "", "stages.1.".
  template <typename Spec>
  void read_map(const Node& node, const std::string& prefix, const Table<Spec>& table, Spec& spec) {
    result_.locations.set(prefix.substr(0, prefix.size() - !prefix.empty()), node.location);
    Given given;
    collect(node, prefix, "", table, given);
    for (const Field<Spec>& field : table) {
      const auto found = given.find(field.key);
      read_field(field, found == given.end() ? nullptr : found->second, prefix + field.key, spec);
    }
  }

  // Finds the table's keys below `node`, and refuses all others.
  template <typename Spec>
  void collect(const Node& node, const std::string& prefix, const std::string& section, const Table<Spec>& table,
               Given& given) {
    const std::set<std::string> known = names_under(table, section);
    for (size_t i = 0; i < node.keys.size(); ++i) {
      const std::string &name = node.keys[i], path = section + name;
      const Node& child = node.children[i];
      if (known.count(name) == 0)
        refuse(child.location, prefix + path, fmt::format("unknown key '{}'", name),
               suggestion(known, prefix + section, name));
      result_.locations.set(prefix + path, child.location);
      const bool is_field =
          std::any_of(table.begin(), table.end(), [&](const Field<Spec>& field) { return field.key == path; });
      if (is_field) {
        given[path] = &child;
      } else if (child.kind == Node::Kind::kMap) {
        collect(child, prefix, path + ".", table, given);
      } else if (child.kind != Node::Kind::kNull) {  // null: none of the map's keys is given
        refuse(
            child.location, prefix + path, fmt::format("{} is {}, not a map of keys", prefix + path, describe(child)),
            fmt::format("write {}: {{...}} with keys among {}", name, fmt::join(names_under(table, path + "."), ", ")));
      }
    }
  }

  template <typename Spec>
  void read_field(const Field<Spec>& field, const Node* node, const std::string& key, Spec& spec) {
    if (field.list != ListKey::kNone) return read_list(field.list, node, key);
    const std::string reason = field.misplaced ? field.misplaced(spec, result_.spec.model) : "";
    if (node != nullptr) {
      if (!reason.empty()) refuse(node->location, key, key + " " + reason, "remove the key");
      field.set(spec, *node, key);
    } else if (reason.empty() && !field.optional) {
      const std::string& preset = field.preset_for(result_.spec.model);
      if (preset.empty())
        refuse(result_.locations.of(key), key, key + " is missing",
               fmt::format("add {}: {}   ({})", last_part(key), field.example, field.comment));
      field.set(spec, preset_node(preset), key);
    }
  }

  void read_list(ListKey list, const Node* node, const std::string& key) {
    if (node == nullptr || node->kind == Node::Kind::kNull) return;
    if (node->kind != Node::Kind::kList)
      refuse(node->location, key, fmt::format("{} is {}, not a list", key, describe(*node)), "write a list of maps");
    if (node->children.size() > kMaxListItems)
      refuse(node->location, key, fmt::format("{} has more than {} items", key, kMaxListItems), "shorten the list");
    for (size_t i = 0; i < node->children.size(); ++i) {
      const Node& item = node->children[i];
      const std::string path = fmt::format("{}.{}", key, i);
      if (item.kind != Node::Kind::kMap)
        refuse(item.location, path, fmt::format("{} is {}, not a map", path, describe(item)),
               "write {KEY: VALUE, ...}");
      if (list == ListKey::kStages)
        read_map(item, path + ".", stage_table(), result_.spec.stages.emplace_back());
      else
        read_map(item, path + ".", dataset_table(), result_.spec.data.train.emplace_back());
    }
  }

  ReadSpec result_;
};

}  // namespace

Location Locations::of(std::string key) const {
  while (true) {
    const auto found = locations_.find(key);
    if (found != locations_.end()) return found->second;
    if (key.empty()) return {"campaign file", 0};
    const size_t dot = key.rfind('.');
    key.resize(dot == std::string::npos ? 0 : dot);
  }
}

bool Locations::has_any_under(const std::string& section) const {
  const auto next = locations_.lower_bound(section + ".");
  return next != locations_.end() && next->first.starts_with(section + ".");
}

ReadSpec read_spec(const Node& root) {
  return Reader().read(root);
}

}  // namespace nexus
