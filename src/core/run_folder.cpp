#include "core/run_folder.h"

#include <fmt/format.h>
#include <filesystem>

#include <algorithm>

#include "core/ascii.h"
#include "core/error.h"

namespace nexus {

std::string RunFolder::checkpoint(const std::string& stage, int64_t step) const {
  return fmt::format("{}/{}/{:07}", checkpoints(), stage, step);
}

std::string RunFolder::task_results(const std::string& stage, int64_t step) const {
  return fmt::format("{}/{}-{:07}", task_results(), stage, step);
}

RunFolder run_of_checkpoint(const std::string& path) {
  const std::filesystem::path checkpoint = std::filesystem::absolute(path).lexically_normal();
  return {(checkpoint / "../../..").lexically_normal().string()};
}

bool is_safe_name(const std::string& name) {
  if (name.empty() || name.size() > 100 || name[0] == '.' || name[0] == '-') return false;
  return is_made_of(name, "._-");
}

void require_safe_name(const std::string& key, const std::string& name) {
  if (is_safe_name(name)) return;
  std::string shown = name;
  std::replace_if(shown.begin(), shown.end(), is_control, '?');
  throw Error(ErrorKind::kConfig, fmt::format("{} '{}' cannot be a folder name", key, shown), key,
              "use 1 to 100 letters, digits, dots, dashes and underscores, and begin with a letter or digit");
}

}  // namespace nexus
