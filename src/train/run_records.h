// The run folder's records: metrics.jsonl, eval.jsonl, ledger.jsonl, STATUS and TensorBoard's files, and the lines on
// the terminal that say the same. Rank 0 writes; on other ranks every call does nothing.
//
// Records are appended as they happen. After a crash the files may hold rows past the restored checkpoint; `resume`
// marks the place, and readers drop what lies after it.
#pragma once

#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "core/run_folder.h"
#include "growth/grow.h"
#include "records/eval_record.h"
#include "records/event_file.h"
#include "records/ledger_record.h"
#include "records/status_record.h"
#include "records/step_record.h"
#include "train/train_state.h"

namespace nexus {

class RunRecords {
 public:
  // `clock`: seconds of a clock that nobody sets; the machine's own where none is given.
  RunRecords(RunFolder run, bool is_writer, std::string flops_def, std::function<double()> clock = {});
  // The launch that writes: goes into every record (generation) and every STATUS.
  void set_launch(const LaunchMark& launch) { launch_ = launch; }
  // Curves go into RUN/tensorboard, too: steps and evaluations by the tokens of the lineage, so that stages, and a run
  // and its ancestor, lie on one axis.
  void keep_tensorboard() { keeps_events_ = true; }

  // Place, tokens and FLOPs of both are the state's, filled in here.
  void step(const TrainState& state, StepRecord record, int ranks, double eta_seconds);
  void eval(const TrainState& state, int64_t steps, EvalRecord record);
  void stage(const TrainState& state, int64_t params, double flops_per_token, int64_t tokens_planned, int64_t steps,
             int ranks);
  void growth(const TrainState& state, const std::string& from_stage, int64_t params_before, int64_t params_after,
              const GrowthOptions& options, const GrowthCheck& check);
  void commit(const TrainState& state, int64_t steps, const std::string& path, int64_t size_bytes, double seconds);
  // Before anything else of a launch: `begin` for a run without a checkpoint, whose records (of a launch that was
  // killed before its first commit) describe nothing that exists, and are set aside (train/earlier_records.h); `resume`
  // for one that continues.
  void begin();
  void resume(const TrainState& state, int64_t steps, const std::string& path);
  // A changed setting that the launch allowed; it holds from here on.
  void change(const TrainState& state, const std::string& key, const std::string& text);
  void done(const TrainState& state);
  // Makes everything written so far durable.
  void sync() const;
  // What the run has used so far, lost work included (campaign/budget.h).
  void spent(const TrainState& state, const nlohmann::json& figures, const std::string& line);
  // Replaces STATUS. `end`: so this launch ends.
  void status(const std::string& text, const std::optional<LaunchEnd>& end = std::nullopt);

 private:
  bool told_end() const;
  void append(const std::string& path, nlohmann::json record);
  // A new event file of this launch, which takes back what earlier ones have from `tokens` on but for what counts
  // there.
  void begin_events(int64_t tokens, const WorkloadWords& words);
  void append_account(const TrainState& state, int64_t steps, const std::string& path);
  std::array<std::string, 3> files() const { return {run_.metrics(), run_.evals(), run_.ledger()}; }
  RunFolder run_;
  bool is_writer_;
  std::string flops_def_;
  LaunchMark launch_;
  std::function<double()> clock_;
  std::optional<double> last_line_seconds_;
  bool keeps_events_ = false;
  std::optional<EventFile> events_;
};

}  // namespace nexus
