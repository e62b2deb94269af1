// The tasks of a campaign (eval.tasks): read when a launch begins, scored at moments of its stages.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "comm/communicator.h"
#include "core/run_folder.h"
#include "spec/campaign_spec.h"
#include "spec/task_spec.h"
#include "tasks/ready_task.h"
#include "train/evaluation.h"
#include "train/train_state.h"

namespace nexus {

class TaskEvaluation {
 public:
  // Reads and encodes all items, so that a mistake shows before the first step. Collective; `spec` must outlive it.
  // Throws what make_ready throws, and ErrorKind::kConfig where the tokenizer has more pieces than the model.
  TaskEvaluation(const CampaignSpec& spec, const std::vector<TaskSpec>& tasks, Communicator& world);

  bool empty() const { return tasks_.empty(); }
  // Of each task its first metric, as TASK.METRIC; everything goes into a folder of the run folder
  // (RunFolder::task_results), which it replaces. Collective; nothing where the evaluation must stop.
  std::optional<std::vector<Figure>> run(const EvalContext& context, const TrainState& state, const RunFolder& folder,
                                         const std::string& run_id, const std::string& version) const;

 private:
  const CampaignSpec& spec_;
  std::optional<Tokenizer> tokenizer_;
  std::vector<std::unique_ptr<ReadyTask>> tasks_;
};

}  // namespace nexus
