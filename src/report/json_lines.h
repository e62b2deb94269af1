// JSON Lines files of a run folder: one record a line, appended by the trainer, possibly cut short by a kill.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace nexus {

// One record and the place it came from. The accessors throw ErrorKind::kData naming file, line and field.
class JsonRecord {
 public:
  JsonRecord(nlohmann::json value, std::string where) : value_(std::move(value)), where_(std::move(where)) {}

  bool has(const std::string& field) const { return value_.contains(field) && !value_.at(field).is_null(); }
  std::string text(const std::string& field) const;
  int64_t count(const std::string& field) const;
  // JSON has no NaN: the writer's null comes back as NaN.
  double number(const std::string& field) const;
  std::vector<std::string> texts(const std::string& field) const;
  // The kind of the record ("step", "eval", "resume", ...).
  std::string kind() const { return text("kind"); }
  const nlohmann::json& value() const { return value_; }
  const std::string& where() const { return where_; }

 private:
  const nlohmann::json& at(const std::string& field) const;
  [[noreturn]] void refuse(const std::string& field, const std::string& problem) const;

  nlohmann::json value_;
  std::string where_;  // "runs/a/eval.jsonl:12"
};

// Every record of `path` in file order; a missing file has none. A line that a killed writer left unfinished is
// skipped: the last one without its newline, or one that is directly followed by a `resume` record. Any other malformed
// line throws ErrorKind::kData.
std::vector<JsonRecord> read_json_lines(const std::string& path);

// The resume rule: a `resume` record at (stage_index, step) takes back every earlier record that lies after that
// position, and every earlier record without a position (`done`). Records of a stage without a step stand at step 0.
// The resume records themselves are left out of the answer. A `resume` or `begin` starts the time of its generation:
// later records of an older one, by a launch that did not know yet that it was replaced, are left out, too.
std::vector<JsonRecord> apply_resumes(std::vector<JsonRecord> records);

}  // namespace nexus
