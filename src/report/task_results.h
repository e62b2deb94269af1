// Scores of tasks as `nexus eval --out` and campaigns have left them (docs/evaluation.md): results.json, and an item a
// line in TASK.jsonl.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace nexus {

struct ItemScore {
  std::string id;
  nlohmann::json asked;  // what must be equal for it to be the same item: gold, lengths of the choices, examples
  bool acc = false, acc_norm = false;
  double loglikelihood = 0;                 // of a word, a window, a document
  double tokens = 0, words = 0, bytes = 0;  // of a window or document; words and bytes of documents only
};

struct MetricValue {
  std::string name;
  double value = 0;
  double se = std::numeric_limits<double>::quiet_NaN();
};

struct TaskScores {
  enum class Kind { kChoice, kWord, kText };
  std::string name;
  Kind kind = Kind::kChoice;
  std::string digest;                // of the file of its items
  nlohmann::json setting;            // examples before the items; windows and stride of a text
  std::vector<MetricValue> metrics;  // as the task lists them
  std::vector<ItemScore> items;
  double words = 0, bytes = 0;  // of a text, that all items are over

  const MetricValue* find(const std::string& metric) const;  // nullptr: it has none of the name
};

struct ModelScores {
  std::string folder;  // as it was named
  std::string label;
  std::string stage;
  int64_t step = 0;
  std::string tokenizer;  // digest
  int64_t context = 0;
  bool bos = true;
  int64_t limit = 0;  // 0: none
  std::vector<TaskScores> tasks;

  const TaskScores* find(const std::string& task) const;
};

// Of a folder of results, or of a run folder: the newest evaluation of its tasks that counts. Throws ErrorKind::kData
// where there are none, or lines and items do not fit.
ModelScores read_model_scores(const std::string& folder);

}  // namespace nexus
