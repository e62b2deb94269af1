#include "records/json_lines.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "core/files.h"
#include "records/ledger_record.h"

namespace nexus {
namespace {

using nlohmann::json;

constexpr int64_t kMaxFileBytes = int64_t{4} << 30;
constexpr std::array kPlaceKeys = {"stage_index", "step", "generation"};

struct Line {
  std::string_view text;
  int64_t number;  // from 1
  bool complete;   // ended by a newline
};

std::vector<Line> split_lines(std::string_view text) {
  std::vector<Line> lines;
  for (int64_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const bool complete = end != std::string_view::npos;
    const std::string_view line = text.substr(0, end);
    if (!line.empty()) lines.push_back({line, number, complete});
    text.remove_prefix(complete ? end + 1 : text.size());
  }
  return lines;
}

// An object with a kind, or nothing.
json parse_record(std::string_view line) {
  json value = json::parse(line, nullptr, /*allow_exceptions=*/false);
  const bool record = value.is_object() && value.contains("kind") && value["kind"].is_string();
  return record ? value : json();
}

bool is_resume(std::string_view line) {
  const json value = parse_record(line);
  return !value.is_null() && value["kind"] == kResumeKind;
}

// Whether those who cannot refuse a file may ask the record where it stands and whose it is.
bool is_sensible(const json& record) {
  if (record.is_null() || (record.contains("stage") && !record["stage"].is_string())) return false;
  return std::all_of(kPlaceKeys.begin(), kPlaceKeys.end(), [&](const char* key) {
    const auto found = record.find(key);
    return found == record.end() || found->is_null() || found->is_number_integer();
  });
}

void visit_lines(std::ifstream& file, const std::function<bool(const JsonRecord&)>& visit) {
  for (std::string line; std::getline(file, line);) {
    json value = parse_record(line);
    if (is_sensible(value) && !visit(JsonRecord(std::move(value), ""))) return;
  }
}

}  // namespace

const json& JsonRecord::at(const std::string& field) const {
  if (!value_.contains(field)) refuse(field, "it is missing");
  return value_.at(field);
}

void JsonRecord::refuse(const std::string& field, const std::string& problem) const {
  throw Error(ErrorKind::kData, fmt::format("malformed record, field '{}': {}", field, problem), where_,
              "restore the file from a copy, or remove that line");
}

std::string JsonRecord::text(const std::string& field) const {
  const json& value = at(field);
  if (!value.is_string()) refuse(field, "it is no text");
  return value.get<std::string>();
}

double JsonRecord::number(const std::string& field) const {
  const json& value = at(field);
  if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (!value.is_number()) refuse(field, "it is no number");
  return value.get<double>();
}

int64_t JsonRecord::count(const std::string& field) const {
  const json& value = at(field);
  if (value.is_number_integer()) return value.get<int64_t>();
  // 2^62 as elsewhere (parse_count): larger values are no counts of ours.
  const double number_value = value.is_number() ? value.get<double>() : -1.0;
  if (!(number_value >= 0 && number_value < 4.6e18)) refuse(field, "it is no count");
  return static_cast<int64_t>(number_value);
}

bool JsonRecord::truth(const std::string& field) const {
  const json& value = at(field);
  if (!value.is_boolean()) refuse(field, "it is neither true nor false");
  return value.get<bool>();
}

std::vector<std::string> JsonRecord::texts(const std::string& field) const {
  const json& value = at(field);
  std::vector<std::string> result;
  if (!value.is_array()) refuse(field, "it is no list");
  for (const json& item : value) {
    if (!item.is_string()) refuse(field, "it is no list of texts");
    result.push_back(item.get<std::string>());
  }
  return result;
}

std::vector<double> JsonRecord::numbers(const std::string& field) const {
  const json& value = at(field);
  std::vector<double> result;
  if (!value.is_array()) refuse(field, "it is no list");
  for (const json& item : value) {
    if (!item.is_number()) refuse(field, "it is no list of numbers");
    result.push_back(item.get<double>());
  }
  return result;
}

Position JsonRecord::position() const {
  return {has("stage_index") ? count("stage_index") : 0, has("step") ? count("step") : 0};
}

std::optional<int64_t> JsonRecord::generation() const {
  return has("generation") ? std::optional(count("generation")) : std::nullopt;
}

std::vector<JsonRecord> read_json_lines(const std::string& path) {
  std::vector<JsonRecord> records;
  if (!path_exists(path)) return records;
  const std::string text = read_text_file(path, kMaxFileBytes);
  const std::vector<Line> lines = split_lines(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string where = fmt::format("{}:{}", path, lines[i].number);
    json value = parse_record(lines[i].text);
    if (!value.is_null()) {
      records.emplace_back(std::move(value), where);
      continue;
    }
    const bool torn_at_the_end = i + 1 == lines.size() && !lines[i].complete;
    const bool torn_before_resume = i + 1 < lines.size() && is_resume(lines[i + 1].text);
    if (!torn_at_the_end && !torn_before_resume)
      throw Error(ErrorKind::kData, "malformed record: no JSON object with a 'kind'", where,
                  "restore the file from a copy, or remove that line");
  }
  return records;
}

void for_each_record(const std::string& path, const std::function<bool(const JsonRecord&)>& visit) {
  if (!path_exists(path)) return;
  std::ifstream file(path);
  if (!file) throw_errno("open", path);
  visit_lines(file, visit);
}

std::vector<JsonRecord> records_from(const std::string& path, int64_t offset) {
  std::vector<JsonRecord> records;
  std::ifstream file(path);
  if (offset > size_of_file(path)) offset = 0;
  if (offset > 0) {
    file.seekg(offset - 1);
    std::string rest;
    std::getline(file, rest);  // of the line that holds the byte before: empty if it ended there
  }
  visit_lines(file, [&](const JsonRecord& record) {
    records.push_back(record);
    return true;
  });
  return records;
}

int64_t size_of_file(const std::string& path) {
  std::error_code failed;
  const auto size = std::filesystem::file_size(path, failed);
  return failed ? 0 : static_cast<int64_t>(size);
}

bool Ownership::counts(const JsonRecord& record) {
  const int64_t generation = record.generation().value_or(owner_);
  if (generation < owner_) return false;
  if (const std::string kind = record.kind(); kind == kResumeKind || kind == kBeginKind) owner_ = generation;
  return true;
}

std::vector<JsonRecord> apply_resumes(std::vector<JsonRecord> records) {
  std::vector<JsonRecord> kept;
  Ownership ownership;
  for (JsonRecord& record : records) {
    if (!ownership.counts(record)) continue;
    if (record.kind() != kResumeKind) {
      kept.push_back(std::move(record));
      continue;
    }
    const Position restored{record.count("stage_index"), record.position().second};
    std::erase_if(
        kept, [&](const JsonRecord& earlier) { return !earlier.has("stage_index") || earlier.position() > restored; });
  }
  return kept;
}

std::string lineage_fault(const std::vector<JsonRecord>& ledger) {
  Position head{0, 0};
  int64_t generation = 0;
  for (const JsonRecord& record : ledger) {
    const int64_t own = record.generation().value_or(0);
    if (own != 0 && own < generation) return fmt::format("generation {} wrote after generation {}", own, generation);
    generation = std::max(generation, own);
    const Position at = record.position();
    const bool is_commit = record.kind() == CommitRecord::kKind;
    if (is_commit && at < head)
      return fmt::format("stage {} step {} was committed after stage {} step {}, without a resume", at.first, at.second,
                         head.first, head.second);
    if (is_commit || record.kind() == kResumeKind) head = at;
  }
  return "";
}

}  // namespace nexus
