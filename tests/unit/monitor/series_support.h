// Runs of a few records, and what is printed of them.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "monitor/run_series.h"

namespace nexus {

inline SeriesRow step_row(int64_t stage, int64_t step, double loss, double time) {
  StepRecord record;
  record.stage = "s" + std::to_string(stage);
  record.stage_index = stage;
  record.step = step;
  record.tokens = 100 * step;
  record.loss = loss;
  record.lr = 1e-3;
  record.grad_norm = 0.5;
  record.flops = 1e9 * static_cast<double>(step);
  record.step_ms = 20;
  record.tok_per_s = 5000;
  return {record, false, record.tokens, time, scalars_of(record)};
}

inline SeriesRow eval_row(int64_t stage, int64_t step, double loss, double time) {
  EvalRecord record;
  record.stage = "s" + std::to_string(stage);
  record.stage_index = stage;
  record.step = step;
  record.tokens = 100 * step;
  record.loss = loss;
  return {record, true, record.tokens, time, scalars_of(record, {})};
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace nexus
