// A task that is read, encoded and checked: nothing is left but to score it.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "tasks/eval_text.h"
#include "tasks/scorer.h"
#include "tasks/task_result.h"

namespace nexus {

class ReadyTask {
 public:
  explicit ReadyTask(TaskSpec spec) : spec_(std::move(spec)) {}
  virtual ~ReadyTask() = default;
  const TaskSpec& spec() const { return spec_; }
  virtual size_t items() const = 0;
  // Where they are from: file, digest, and what else tells whether two results are over the same.
  virtual nlohmann::ordered_json source() const = 0;
  // Collective. `must_stop`, where there is one, is asked now and then; nothing once it says so on some rank.
  virtual std::optional<TaskResult> run(const ScoringContext& context,
                                        const std::function<bool()>& must_stop = {}) const = 0;

 private:
  TaskSpec spec_;
};

// Throws what read_task_items, encode_request, read_eval_text and make_perplexity_items throw. `limit`: at most so many
// items, 0: all.
std::unique_ptr<ReadyTask> make_ready(const TaskSpec& task, const TaskSources& source, int64_t limit);

}  // namespace nexus
