// The step loop of one stage: step, log, evaluate, save, stop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "accounting/flops.h"
#include "comm/process_grid.h"
#include "data/sampler.h"
#include "optim/schedule.h"
#include "train/checkpoint_io.h"
#include "train/evaluation.h"
#include "train/run_records.h"
#include "train/save_scheduler.h"
#include "train/step.h"
#include "train/stop_requests.h"

namespace nexus {

// What outlives a stage. Everything is owned by the campaign.
struct RunContext {
  Backend& backend;
  ProcessGrid& grid;
  RunFolder run;
  std::string run_id;
  RunRecords& records;
  StopRequests& requests;
  const RunData& data;
  // By the steady clock (system/clock.h): time up to here is in some stage's account. The campaign starts it, so that
  // loading, growth and the last save of a stage count too: into the stage that follows them.
  double counted = 0;
  Fence fence;             // of rank 0: asked before every commit
  int64_t generation = 0;  // of this launch: its unfinished saves bear it
  // On rank 0, after a commit of `state`.
  std::function<void(const TrainState& state, const SaveResult& saved)> on_commit;
  // The campaign's tasks (campaign/task_evaluation.h), as Evaluation::run; null: there are none.
  std::function<std::optional<std::vector<Figure>>(const EvalContext& context, const TrainState& state)> evaluate_tasks;
};

struct TrainerOptions {
  BatchSpec batch;
  int64_t context = 0;
  OptimizerSpec optimizer;
  CheckpointSpec checkpoint;
  EvalSpec eval;
  SafetySpec safety;
  AccountSpec account;
  PrecisionSpec precision;
};

struct StagePlan {
  int64_t steps = 0;
  Schedule schedule;
  // A stage that grew its model: the newest generation, and what was there before, have rates of their own, relative to
  // the schedule.
  bool grown = false;
  double old_lr_mult = 1.0;
  double new_lr_mult = 1.0;
  int64_t new_warmup_steps = 0;  // of the newest generation: a linear warm-up from new_warmup_from to new_lr_mult
  double new_warmup_from = 0.0;
  bool new_warmup_decay = true;  // whether it has weight decay meanwhile

  int64_t norm_scale_steps = 0;  // over which the growth of the norms' scales comes; 0: it stays where it is
  int64_t mask_steps = 0;        // over which the masks on new channels open; 0: there are none

  double old_rate(int64_t step) const;
  double newest_rate(int64_t step) const;
  bool newest_decays(int64_t step) const { return !grown || new_warmup_decay || step > new_warmup_steps; }
};

enum class StageEnd { kFinished, kStopped };

class StageTrainer {
 public:
  // `state` stands at the step to continue from and is advanced in place.
  StageTrainer(RunContext& run, const TrainerOptions& options, const StagePlan& plan, Model& model, ParamStore& params,
               TrainState& state);

  // Trains to the end of the stage, or to a request to stop. Either way the last thing done is a commit, if there was
  // anything new to commit and the last step was not skipped; an error that every rank sees is thrown after a save
  // under way was committed.
  StageEnd run();

 private:
  StageEnd train();
  StepOutput one_step();
  void move_constants(int64_t step);
  void log_step(const StepOutput& output, double seconds);
  std::optional<int64_t> device_bytes();  // in use on the device, as of some seconds ago; nothing on a host
  bool evaluate_now(EvalEvent event);     // false: abandoned for an urgent request to stop
  // What is due after the last step: by the step alone, so that the next launch finds the same.
  bool is_last_step() const { return state_.step == plan_.steps; }
  bool is_due(const Period& every) const;
  bool tasks_are_due() const;
  bool evaluate_after_step(bool stop);  // false: it is owed
  bool is_recorded() const;
  StageEnd finish_pending_evaluation();
  bool weights_are_doubtful() const { return skipped_in_a_row_ > 0; }
  [[noreturn]] void refuse_doubtful_end() const;
  bool stop_is_urgent() { return run_.requests.poll().urgent; }
  void check_replicas_if_due();
  std::unique_ptr<PendingSave> begin_save(bool pinned);
  void count_time();  // adds the wall clock since the last call to the stage's account

  RunContext& run_;
  TrainerOptions options_;
  StagePlan plan_;
  Model& model_;
  ParamStore& params_;
  TrainState& state_;
  BatchLayout layout_;
  StepRunner runner_;
  Optimizer optimizer_;
  double flops_per_token_;
  SaveScheduler saves_;
  int skipped_in_a_row_ = 0;
  bool saved_owing_ = false;             // the state after the last step was committed before its evaluation
  double mean_step_seconds_ = 0;         // exponential average, for the time left
  std::optional<double> memory_asked_;   // when, by the steady clock
  std::optional<int64_t> device_bytes_;  // what the device said then
};

}  // namespace nexus
