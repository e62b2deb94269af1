// What scores say of a task: predictions, accuracies, perplexity, each with its standard error.
#pragma once

#include <string>
#include <vector>

#include "records/eval_record.h"
#include "tasks/scorer.h"
#include "tasks/task_items.h"

namespace nexus {

struct TaskResult {
  std::vector<Figure> figures;     // in the order of TaskSpec::metrics
  std::vector<std::string> lines;  // an item each, JSON: docs/evaluation.md
};

// `scores` of the choices of all items, one after another, and of each the number of tokens that was scored. acc: the
// highest log-likelihood; acc_norm: the highest per character of the continuation, without the joining space; of equal
// ones the first. kGreedy: acc of items whose tokens are all the likeliest, perplexity exp(-mean log-likelihood). The
// standard error of a mean is sd / sqrt(n) with n - 1 in sd, that of the perplexity follows by its derivative.
TaskResult count_scores(const TaskSpec& task, const std::vector<TaskItem>& items,
                        const std::vector<ContinuationScore>& scores, const std::vector<int64_t>& tokens);

}  // namespace nexus
