#include "report/task_results.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "core/files.h"
#include "core/run_folder.h"
#include "records/eval_record.h"
#include "records/json_lines.h"
#include "records/run_description.h"

namespace nexus {
namespace {

using nlohmann::json;

// A line of TASK.jsonl can be long, a file is not: 30 000 items of 200 bytes.
constexpr int64_t kMaxResultBytes = int64_t{1} << 31;

[[noreturn]] void refuse(const std::string& what, const std::string& where) {
  throw Error(ErrorKind::kData, what, where, "evaluate again, with --out");
}

// `read` of a document; what is not there, or of another kind, is the file's fault.
template <typename Read>
auto reading(const std::string& where, const Read& read) {
  try {
    return read();
  } catch (const json::exception& error) {
    refuse(fmt::format("malformed results: {}", error.what()), where);
  }
}

double number_of(const json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

ItemScore item_of(const json& line, TaskScores::Kind kind) {
  ItemScore item;
  item.id = line.at("id").get<std::string>();
  if (kind == TaskScores::Kind::kChoice) {
    item.acc = line.at("prediction") == line.at("gold");
    item.acc_norm = line.at("prediction_norm") == line.at("gold");
  } else {
    item.loglikelihood = line.at("loglikelihoods").at(0).get<double>();
    item.tokens = line.at("tokens").at(0).get<double>();
    item.acc = line.value("greedy", false);
  }
  for (const char* key : {"gold", "characters", "shots", "words", "bytes"})
    if (line.contains(key)) item.asked[key] = line.at(key);
  item.words = line.value("words", 0.0);
  item.bytes = line.value("bytes", 0.0);
  return item;
}

TaskScores::Kind kind_of(const json& line) {
  if (line.contains("prediction")) return TaskScores::Kind::kChoice;
  return line.contains("greedy") ? TaskScores::Kind::kWord : TaskScores::Kind::kText;
}

TaskScores task_of(const nlohmann::ordered_json& row, const std::string& folder) {
  TaskScores task;
  task.name = row.at("task").get<std::string>();
  require_safe_name("task", task.name);
  task.digest = row.at("digest").get<std::string>();
  task.words = row.value("words", 0.0);
  task.bytes = row.value("bytes", 0.0);
  for (const char* key : {"windows", "stride"})
    if (row.contains(key)) task.setting[key] = row.at(key);
  if (row.contains("shots"))
    for (const char* key : {"count", "seed", "digest"}) task.setting["shots"][key] = row.at("shots").at(key);
  for (const auto& [name, metric] : row.at("metrics").items())
    task.metrics.push_back({name, number_of(metric.at("value")), number_of(metric.at("se"))});
  const std::string path = folder + "/" + task.name + ".jsonl";
  const std::string text = read_text_file(path, kMaxResultBytes);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const json line = json::parse(text.substr(begin, end - begin));
    if (task.items.empty()) task.kind = kind_of(line);
    task.items.push_back(item_of(line, task.kind));
    begin = end + 1;
  }
  if (task.items.size() != row.at("items").get<size_t>())
    refuse(fmt::format("{} lines of {} items", task.items.size(), row.at("items").get<size_t>()), path);
  return task;
}

// RUN/evals/STAGE-STEP of the last evaluation of tasks that the run's records know.
std::string newest_results(const RunFolder& run) {
  const std::vector<JsonRecord> records = apply_resumes(read_json_lines(run.evals()));
  for (auto record = records.rbegin(); record != records.rend(); ++record) {
    if (record->kind() != EvalRecord::kKind) continue;
    const std::string folder = run.task_results(record->stage(), record->position().second);
    if (path_exists(folder + "/results.json")) return folder;
  }
  throw Error(
      ErrorKind::kData, "the run has no scores of tasks", run.root,
      "evaluate a checkpoint with `nexus eval CKPT --tasks ... --out FOLDER` and name that folder, or train with "
      "eval.tasks");
}

std::string name_of_folder(const std::string& folder) {
  const auto path = std::filesystem::path(folder).lexically_normal();
  return (path.has_filename() ? path.filename() : path.parent_path().filename()).string();
}

}  // namespace

const MetricValue* TaskScores::find(const std::string& metric) const {
  const auto found = std::ranges::find(metrics, metric, &MetricValue::name);
  return found == metrics.end() ? nullptr : &*found;
}

const TaskScores* ModelScores::find(const std::string& task) const {
  const auto found = std::ranges::find(tasks, task, &TaskScores::name);
  return found == tasks.end() ? nullptr : &*found;
}

ModelScores read_model_scores(const std::string& folder) {
  const RunFolder run{folder};
  const bool is_run = path_exists(run.run_json());
  if (!is_run && !path_exists(folder + "/results.json"))
    throw Error(ErrorKind::kData, "neither a run folder nor results of `nexus eval --out`", folder,
                "name one of these");
  const std::string results = is_run ? newest_results(run) : folder;
  const std::string path = results + "/results.json";
  return reading(path, [&] {
    const auto document = nlohmann::ordered_json::parse(read_text_file(path));
    ModelScores model;
    model.folder = folder;
    const std::optional<RunDescription> description = is_run ? RunDescription::read(run) : std::nullopt;
    model.label = description && !description->name().empty() ? description->name() : name_of_folder(folder);
    model.stage = document.at("stage").get<std::string>();
    model.step = document.at("step").get<int64_t>();
    model.tokenizer = document.at("tokenizer").get<std::string>();
    model.context = document.at("context").get<int64_t>();
    model.bos = document.at("bos").get<bool>();
    model.limit = document.at("limit").get<int64_t>();
    for (const auto& row : document.at("tasks")) model.tasks.push_back(task_of(row, results));
    return model;
  });
}

}  // namespace nexus
