// Reads a map of keys by its table (schema.h): what any configuration file shares. Unknown, misplaced and missing keys
// and values of the wrong type are refused with file, line, key and cure.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/locations.h"
#include "config/schema.h"
#include "config/yaml_tree.h"

namespace nexus {

class TableReader {
 public:
  virtual ~TableReader() = default;
  TableReader(const TableReader&) = delete;
  TableReader& operator=(const TableReader&) = delete;

 protected:
  TableReader() = default;

  // The model that presets and the places of keys depend on.
  virtual const ModelConfig& model() const = 0;
  // Reads a list of maps with a table of its own; `node` is null where the key is absent.
  virtual void read_list(ListKey list, const Node* node, const std::string& key) = 0;
  // Where a key of this name does belong, for one that stands in the wrong place: full paths, the likeliest first.
  virtual std::vector<std::string> homes_of(const std::string& name) const = 0;

  // Reads one map. `prefix` is the map's own path with a dot: "", "stages.1.".
  template <typename Spec>
  void read_map(const Node& node, const std::string& prefix, const Table<Spec>& table, Spec& spec) {
    locations_.set(prefix.substr(0, prefix.size() - !prefix.empty()), node.location);
    Given given;
    collect(node, prefix, "", table, given);
    for (const Field<Spec>& field : table) {
      const auto found = given.find(field.key);
      read_field(field, found == given.end() ? nullptr : found->second, prefix + field.key, spec);
    }
  }

  Locations locations_;

 private:
  using Given = std::map<std::string, const Node*>;  // the table's key -> what was written

  // The keys and maps that may stand directly under `section` ("model." or "").
  template <typename Spec>
  static std::set<std::string> names_under(const Table<Spec>& table, const std::string& section) {
    std::set<std::string> names;
    for (const Field<Spec>& field : table)
      if (field.key.starts_with(section)) {
        const std::string rest = field.key.substr(section.size());
        names.insert(rest.substr(0, rest.find('.')));
      }
    return names;
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
      locations_.set(prefix + path, child.location);
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
    const std::string reason = field.misplaced ? field.misplaced(spec, model()) : "";
    if (node != nullptr) {
      if (!reason.empty()) refuse(node->location, key, key + " " + reason, "remove the key");
      field.set(spec, *node, key);
    } else if (reason.empty() && !field.optional) {
      const std::string preset = field.preset_for(spec, model());
      if (preset.empty())
        refuse(locations_.of(key), key, key + " is missing",
               fmt::format("add {}: {}   ({})", key.substr(key.rfind('.') + 1), field.example, field.comment));
      field.set(spec, preset_node(preset), key);
    }
  }

  // The cure for an unknown key: one of the `known` that is close, a home elsewhere, or all that are known.
  std::string suggestion(const std::set<std::string>& known, const std::string& prefix, const std::string& name) const;
  static Node preset_node(const std::string& preset);
};

}  // namespace nexus
