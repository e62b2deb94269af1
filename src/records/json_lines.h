// The JSON Lines of a run folder (metrics, evaluations, ledger): one record a line, appended by a launch, possibly cut
// short by a kill. The only reader of them, and the rules by which records count.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nexus {

// A place in the campaign: (index of the stage, steps done in it).
using Position = std::pair<int64_t, int64_t>;

// Kinds that decide which records count.
inline constexpr const char kBeginKind[] = "begin", kResumeKind[] = "resume";

// One record and the place it came from. The accessors throw ErrorKind::kData naming file, line and field.
class JsonRecord {
 public:
  JsonRecord(nlohmann::json value, std::string where) : value_(std::move(value)), where_(std::move(where)) {}

  bool has(const std::string& field) const { return value_.contains(field) && !value_.at(field).is_null(); }
  std::string text(const std::string& field) const;
  int64_t count(const std::string& field) const;
  // JSON has no NaN: the writer's null comes back as NaN.
  double number(const std::string& field) const;
  bool truth(const std::string& field) const;
  std::vector<std::string> texts(const std::string& field) const;
  std::vector<double> numbers(const std::string& field) const;
  // The kind of the record ("step", "eval", "resume", ...).
  std::string kind() const { return text("kind"); }
  std::string stage() const { return has("stage") ? text("stage") : ""; }
  // A stage's record without a step stands at step 0, one without a stage at the campaign's beginning.
  Position position() const;
  // Of the launch that wrote it; nothing: a nexus without leases.
  std::optional<int64_t> generation() const;
  // When, in Unix seconds; 0 where it is not told.
  double time() const { return has("time") ? number("time") : 0; }
  const nlohmann::json& value() const { return value_; }
  const std::string& where() const { return where_; }

 private:
  const nlohmann::json& at(const std::string& field) const;
  [[noreturn]] void refuse(const std::string& field, const std::string& problem) const;

  nlohmann::json value_;
  std::string where_;  // "runs/a/eval.jsonl:12"; empty where nobody will be told
};

// Every record of `path` in file order; a missing file has none. A line that a killed writer left unfinished is
// skipped: the last one without its newline, or one that is directly followed by a `resume` record. Any other malformed
// line throws ErrorKind::kData.
std::vector<JsonRecord> read_json_lines(const std::string& path);

// For those who look at what a launch may just be writing: calls `visit` with every record, until it returns false.
// Lines that are torn, no records, or without a sensible position and generation, are left out. A missing file has
// none; throws ErrorKind::kIo where it cannot be opened: what cannot be read is not empty.
void for_each_record(const std::string& path, const std::function<bool(const JsonRecord&)>& visit);

// Such records behind byte `offset`; behind 0 if the file is shorter, since a run that begins anew has new files. A
// line that begins before the offset is left out. None where the file cannot be opened.
std::vector<JsonRecord> records_from(const std::string& path, int64_t offset);

int64_t size_of_file(const std::string& path);  // 0 where there is none

// Records of a file in order: `counts` says of each whether it is of the launch that owned the run then. A `resume` or
// `begin` starts the time of its generation; what an older one writes later is of a launch that did not know yet that
// it was replaced.
class Ownership {
 public:
  bool counts(const JsonRecord& record);
  int64_t owner() const { return owner_; }  // its generation; 0: none is told

 private:
  int64_t owner_ = 0;
};

// The resume rule: a `resume` record at (stage_index, step) takes back every earlier record that lies after that
// position, and every earlier record without a position (`done`). Records of a stage without a step stand at step 0.
// The resume records themselves are left out of the answer, and so is what Ownership does not count.
std::vector<JsonRecord> apply_resumes(std::vector<JsonRecord> records);

// Why the commits of a ledger are not one line of descent; empty if they are. Nothing may be committed before the
// newest commit unless a `resume` has gone back, and no older generation after a newer one.
std::string lineage_fault(const std::vector<JsonRecord>& ledger);

}  // namespace nexus
