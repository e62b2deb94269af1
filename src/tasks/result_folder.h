// What `nexus eval --out` and campaigns write: results.json, and TASK.jsonl with a line for each item
// (docs/evaluation.md).
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tasks/ready_task.h"
#include "tensor/dtype.h"

namespace nexus {

// Of what was evaluated, and how.
struct ResultFacts {
  std::string version, checkpoint, run_id, stage;
  int64_t step = 0;
  std::string tokenizer;  // digest
  int64_t context = 0;
  bool bos = true;  // texts begin with BOS
  DType compute = DType::kF32;
  int64_t limit = 0;
};

class ResultFolder {
 public:
  ResultFolder(std::string folder, ResultFacts facts) : folder_(std::move(folder)), facts_(std::move(facts)) {}
  // Durable when it returns: the lines, then results.json with all tasks so far. Throws ErrorKind::kIo.
  void add(const ReadyTask& task, const TaskResult& result);

 private:
  std::string folder_;
  ResultFacts facts_;
  nlohmann::ordered_json tasks_ = nlohmann::ordered_json::array();
};

}  // namespace nexus
