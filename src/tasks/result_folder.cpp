#include "tasks/result_folder.h"

#include "core/files.h"
#include "core/json_text.h"

namespace nexus {
namespace {

nlohmann::ordered_json json_of(const ReadyTask& task, const TaskResult& result) {
  nlohmann::ordered_json row{{"task", task.spec().name}, {"items", task.items()}};
  row.update(task.source());
  for (const Figure& figure : result.figures) {
    row["metrics"][figure.name]["value"] = figure.value;
    row["metrics"][figure.name]["se"] = figure.count > 1 ? nlohmann::ordered_json(figure.se) : nullptr;
  }
  return row;
}

}  // namespace

void ResultFolder::add(const ReadyTask& task, const TaskResult& result) {
  make_folders(folder_);
  std::string lines;
  for (const std::string& line : result.lines) lines += line + "\n";
  write_file_durably(folder_ + "/" + task.spec().name + ".jsonl", lines);
  tasks_.push_back(json_of(task, result));
  const nlohmann::ordered_json results{{"version", facts_.version},
                                       {"checkpoint", facts_.checkpoint},
                                       {"run_id", facts_.run_id},
                                       {"stage", facts_.stage},
                                       {"step", facts_.step},
                                       {"tokenizer", facts_.tokenizer},
                                       {"context", facts_.context},
                                       {"bos", facts_.bos},
                                       {"compute", name_of(facts_.compute)},
                                       {"limit", facts_.limit},
                                       {"tasks", tasks_}};
  write_file_durably(folder_ + "/results.json", json_text(results, 1) + "\n");
}

}  // namespace nexus
