#include "config/table_reader.h"

#include "core/units.h"

namespace nexus {
namespace {

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

}  // namespace

std::string TableReader::suggestion(const std::set<std::string>& known, const std::string& prefix,
                                    const std::string& name) const {
  for (const std::string& candidate : known)
    if (lower(candidate) == lower(name)) return "did you mean " + prefix + candidate + "?";
  for (const std::string& candidate : known)
    if (lower(candidate)[0] == lower(name)[0] && edit_distance(lower(candidate), lower(name)) <= 1)
      return "did you mean " + prefix + candidate + "?";
  if (const std::string close = nearest(name, known); !close.empty()) return "did you mean " + prefix + close + "?";
  if (const std::vector<std::string> homes = homes_of(name); !homes.empty())
    return "did you mean " + homes.front() + "?";
  return fmt::format("use one of {}", fmt::join(known, ", "));
}

Node TableReader::preset_node(const std::string& preset) {
  if (preset.starts_with('[') || preset.starts_with('{')) return parse_yaml(preset, "default", false);
  Node node;
  node.location.source = "default";
  if (preset == "null") return node;
  node.kind = Node::Kind::kScalar;
  node.scalar = preset;
  return node;
}

}  // namespace nexus
