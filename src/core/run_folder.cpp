#include "core/run_folder.h"

#include <fmt/format.h>

#include "core/ascii.h"

namespace nexus {

std::string RunFolder::checkpoint(const std::string& stage, int64_t step) const {
  return fmt::format("{}/{}/{:07}", checkpoints(), stage, step);
}

bool is_safe_name(const std::string& name) {
  if (name.empty() || name.size() > 100 || name[0] == '.' || name[0] == '-') return false;
  return is_made_of(name, "._-");
}

}  // namespace nexus
