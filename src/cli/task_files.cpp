#include "cli/task_files.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "config/task.h"
#include "core/error.h"
#include "core/files.h"
#include "core/units.h"
#include "system/process.h"

namespace nexus {
namespace {

// Where the task files lie that come with nexus: beside an installed program, or in the source tree.
std::string tasks_folder() {
  const std::filesystem::path beside = std::filesystem::path(own_program()).parent_path() / NEXUS_INSTALLED_TASKS;
  std::error_code ignored;
  return std::filesystem::is_directory(beside, ignored) ? beside.lexically_normal().string() : NEXUS_TASKS_DIR;
}

// A task file, or the name of one that comes with nexus.
TaskSpec find_task(const std::string& name, const std::string& key) {
  if (name.ends_with(".yaml") || name.find('/') != std::string::npos) return nexus::load_task(name);
  const std::string folder = tasks_folder(), file = folder + "/" + name + ".yaml";
  if (path_exists(file)) return nexus::load_task(file);
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) names.push_back(entry.path().stem());
  std::ranges::sort(names);
  const std::string near = nearest(name, names);
  throw Error(ErrorKind::kConfig, fmt::format("there is no task '{}'", name), key,
              near.empty() ? fmt::format("name a task file (TASK.yaml), or one of {}", fmt::join(names, ", "))
                           : "did you mean " + near + "?");
}

}  // namespace

std::vector<TaskSpec> find_tasks(const std::vector<std::string>& names, const std::string& key) {
  std::vector<TaskSpec> tasks;
  for (const std::string& name : names) {
    tasks.push_back(find_task(name, key));
    for (size_t i = 0; i + 1 < tasks.size(); ++i)
      if (tasks[i].name == tasks.back().name)
        throw Error(ErrorKind::kConfig, fmt::format("two tasks are called {}", tasks[i].name), key, "name each once");
  }
  return tasks;
}

}  // namespace nexus
