// From the merged tree to the campaign, by the table of keys.
#pragma once

#include <map>
#include <string>

#include "campaign/campaign_spec.h"
#include "config/yaml_tree.h"

namespace nexus {

// Where each key was written.
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

struct ReadSpec {
  CampaignSpec spec;
  Locations locations;
};

// Unknown, misplaced and missing keys and values of the wrong type are refused. `root` is a map.
ReadSpec read_spec(const Node& root);

}  // namespace nexus
