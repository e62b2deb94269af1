// Looking for findings in tests.
#pragma once

#include <string>
#include <vector>

#include "doctor/finding.h"

namespace nexus {

// The first finding whose text contains `part`; null if none does.
inline const Finding* find(const std::vector<Finding>& findings, const std::string& part) {
  for (const Finding& finding : findings)
    if (finding.what.find(part) != std::string::npos) return &finding;
  return nullptr;
}

// "warning" and so on of that finding, "absent" if there is none.
inline std::string level_of(const std::vector<Finding>& findings, const std::string& part) {
  const Finding* finding = find(findings, part);
  return finding == nullptr ? "absent" : std::string(name_of(finding->level));
}

// Whatever is not as it should be says what to do about it.
inline bool all_have_cures(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings)
    if (finding.level >= Level::kWarning && finding.cure.empty()) return false;
  return true;
}

}  // namespace nexus
