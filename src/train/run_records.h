// The run folder's records: metrics.jsonl, eval.jsonl, ledger.jsonl and STATUS, and the lines on the terminal that say
// the same. Rank 0 writes; on other ranks every call does nothing.
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
#include "train/train_state.h"

namespace nexus {

struct StepRecord {
  int64_t step = 0, steps = 0;
  double loss = 0, learning_rate = 0, grad_norm = 0;
  double seconds = 0;       // of this step
  double data_seconds = 0;  // of it, waiting for data
  double tokens_per_second = 0;
  int ranks = 1;
  bool updated = true;                  // false: not finite and skipped
  double mfu = -1;                      // share of the peak; negative: unknown
  std::optional<int64_t> device_bytes;  // in use on this rank's GPU, by whomever; nothing: ranks compute on hosts
  double eta_seconds = 0;
  std::string flops_def;
};

struct EvalRecord {
  std::string event;   // start | after_growth | periodic | end
  double loss = 0;     // mean nats per token over windows
  double loss_se = 0;  // its standard error; NaN where there is one window, which has none
  int64_t windows = 0, tokens = 0;
  double bits_per_byte = -1;  // negative: the file does not say how many bytes its text has
  double seconds = 0;
};

// The launch that writes: goes into every record (generation) and every STATUS.
struct LaunchMark {
  int64_t generation = 0;  // of the run folder's lease: rows that an older launch writes later are not this run's
  std::string job;         // Slurm's id; empty: none
  int64_t restart = 0;
  // " | exit 75 | generation 12 | job 345 restart 1"; the exit is left out while the launch goes on.
  std::string status_groups(std::optional<int> exit_code = std::nullopt) const;
};

class RunRecords {
 public:
  // `clock`: seconds of a clock that nobody sets; the machine's own where none is given.
  RunRecords(RunFolder run, bool is_writer, std::string flops_def, std::function<double()> clock = {});
  void set_launch(const LaunchMark& launch) { launch_ = launch; }

  void step(const TrainState& state, const StepRecord& record);
  void eval(const TrainState& state, int64_t steps, const EvalRecord& record);
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
  // Replaces STATUS; one line. `exit_code`: this launch ends with it.
  void status(const std::string& text, std::optional<int> exit_code = std::nullopt);

 private:
  void append(const std::string& path, nlohmann::json record);
  void append_account(const TrainState& state, int64_t steps, const std::string& path);
  std::array<std::string, 3> files() const { return {run_.metrics(), run_.evals(), run_.ledger()}; }
  RunFolder run_;
  bool is_writer_;
  std::string flops_def_;
  LaunchMark launch_;
  std::function<double()> clock_;
  std::optional<double> last_line_seconds_;
};

}  // namespace nexus
