// The items of a task: questions as texts to be scored.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "spec/task_spec.h"

namespace nexus {

// One continuation behind its context.
struct ContinuationText {
  std::string context, continuation;  // without the space that joins them
};

struct TaskItem {
  std::string id;
  std::string place;                      // FILE:LINE
  std::vector<ContinuationText> choices;  // one where the score is greedy
  size_t gold = 0;                        // number of the right choice
  std::vector<std::string> shots{};       // ids of the solved examples in front of each context
};

struct TaskItems {
  std::string path;    // the file that was read
  std::string digest;  // XXH3-128 of its text, unpacked
  std::vector<TaskItem> items;
  std::string shots_path, shots_digest;  // the same of the examples, where there are some
};

// The first of `names` that is in the folder, as it is, .xz or .zst. Throws ErrorKind::kConfig saying that `what` are
// not there.
std::string find_task_file(const std::string& folder, const std::vector<std::string>& names, const std::string& what);

// Reads the items of a task from the data folder, at most `limit` (0: all), which does not limit the examples. Each
// example is its context, a space and the right continuation, and a blank line follows it. Files may be .xz or .zst.
// Throws ErrorKind::kConfig where a file is not there, kData with FILE:LINE for an item that does not fit the task.
TaskItems read_task_items(const TaskSpec& task, const std::string& folder, int64_t limit);

}  // namespace nexus
