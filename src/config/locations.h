// Where the keys of a configuration were written.
#pragma once

#include <map>
#include <string>

#include "config/yaml_tree.h"

namespace nexus {

class Locations {
 public:
  void set(const std::string& key, const Location& location) { locations_[key] = location; }
  // Whether the key, not only a map around it, was written.
  bool has(const std::string& key) const { return locations_.count(key) > 0; }
  // Whether any key below the map `section` was written.
  bool has_any_under(const std::string& section) const;
  // Of the key, or else of the innermost map or list item around it.
  Location of(std::string key) const;
  // "campaign.yaml:12", or "default" for a key that was not written.
  std::string source(const std::string& key) const { return has(key) ? of(key).text() : "default"; }

 private:
  std::map<std::string, Location> locations_;  // "" is the document
};

}  // namespace nexus
