// What a report says, as numbers: one row per stage, one per run, the savings against the baseline, the warnings.
// Tables, CSV, JSON and HTML only render it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "report/matched_compute.h"
#include "report/run_reader.h"

namespace nexus {

// The headline figure of an evaluation with the standard error that the noise of its samples gives it.
struct Score {
  double value = 0, se = 0, loss = 0, loss_se = 0;
  // Why it does not compare with the run's last evaluation ("other validation tokens"): data.valid may be changed
  // inside a run. Empty where it does.
  std::string other;
};

// What a stage begins and ends with, of one figure of an evaluation besides the validation loss.
struct StageFigure {
  struct Side {
    Figure figure;
    std::string other;  // as in Score
  };
  std::optional<Side> first, last;  // at least one of them
  const Figure& newest() const { return last ? last->figure : first->figure; }
};

struct StageSummary {
  std::string stage, flops_def;
  int64_t stage_index = 0, params = 0, step = 0, steps = 0, tokens = 0;
  double flops = 0, total_flops = 0, seconds = 0, rank_seconds = 0;
  std::optional<Score> before_growth, after_growth, end;
  std::vector<StageFigure> figures;
  bool growth_compares = true;         // before and after are over the same tokens and windows
  std::optional<GrowthRecord> growth;  // the growth that began this stage
  bool committed = false;              // without a commit, tokens, FLOPs and seconds are not known yet
};

struct RunSummary {
  std::string label, folder, arch, flops_def, status;
  bool done = false;
  int64_t final_params = 0, total_tokens = 0, inherited_tokens = 0;
  double total_flops = 0, inherited_flops = 0, seconds = 0, rank_seconds = 0;
  std::optional<Score> final_score;  // the last evaluation
  std::vector<StageSummary> stages;
  Curve curve;
  // Against the baseline; nothing for the baseline itself, and where `incomparable` says why.
  std::optional<Saving> saving;
  std::string incomparable;  // "other tokenizer", "FLOP definitions differ"
  std::vector<Saving> saving_curve;
};

struct ReportData {
  std::vector<RunHistory> histories;
  std::vector<RunSummary> runs;    // same order as histories
  std::optional<size_t> baseline;  // index into runs
  WorkloadWords words;             // of all of them
  std::optional<double> target_loss;
  BootstrapOptions bootstrap;
  std::vector<std::string> warnings;
};

struct SummaryOptions {
  std::vector<std::string> folders;
  // A folder of `folders`; empty chooses the first Tokenformer run, else the first transformer run, else the last run.
  std::string baseline;
  std::map<std::string, std::string> labels;      // folder -> name
  std::optional<double> target_ppl, target_loss;  // at most one of them
  BootstrapOptions bootstrap;
};

// Reads and compares the runs. Throws ErrorKind::kConfig for impossible options and for runs of different workloads,
// kData for unreadable runs.
ReportData summarise(const SummaryOptions& options);

}  // namespace nexus
