#include "config/locations.h"

namespace nexus {

Location Locations::of(std::string key) const {
  while (true) {
    const auto found = locations_.find(key);
    if (found != locations_.end()) return found->second;
    if (key.empty()) return {"configuration", 0};
    const size_t dot = key.rfind('.');
    key.resize(dot == std::string::npos ? 0 : dot);
  }
}

bool Locations::has_any_under(const std::string& section) const {
  const auto next = locations_.lower_bound(section + ".");
  return next != locations_.end() && next->first.starts_with(section + ".");
}

}  // namespace nexus
