// Task files by name.
#pragma once

#include <string>
#include <vector>

#include "spec/task_spec.h"

namespace nexus {

// Of each name the task: of a file (TASK.yaml, or a path), or one that comes with nexus. `key` names the list in
// errors. Throws ErrorKind::kConfig, also where two tasks have one name.
std::vector<TaskSpec> find_tasks(const std::vector<std::string>& names, const std::string& key);

}  // namespace nexus
