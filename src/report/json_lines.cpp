#include "report/json_lines.h"

#include <limits>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "core/files.h"

namespace nexus {
namespace {

using nlohmann::json;

constexpr int64_t kMaxFileBytes = int64_t{4} << 30;

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
  return !value.is_null() && value["kind"] == "resume";
}

std::pair<int64_t, int64_t> position_of(const JsonRecord& record) {
  return {record.count("stage_index"), record.has("step") ? record.count("step") : 0};
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

std::vector<JsonRecord> apply_resumes(std::vector<JsonRecord> records) {
  std::vector<JsonRecord> kept;
  int64_t owner = 0;  // generation of the launch that owns what follows
  for (JsonRecord& record : records) {
    const int64_t generation = record.has("generation") ? record.count("generation") : owner;
    if (generation < owner) continue;  // of a launch that did not know yet that it was replaced
    if (record.kind() == "resume" || record.kind() == "begin") owner = generation;
    if (record.kind() != "resume") {
      kept.push_back(std::move(record));
      continue;
    }
    const auto restored = position_of(record);
    std::erase_if(kept, [&](const JsonRecord& earlier) {
      return !earlier.has("stage_index") || position_of(earlier) > restored;
    });
  }
  return kept;
}

}  // namespace nexus
