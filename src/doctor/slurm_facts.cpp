#include "doctor/slurm_facts.h"

#include <charconv>
#include <sstream>

namespace nexus {
namespace {

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  std::istringstream stream{std::string(text)};
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

std::map<std::string, std::string> parse_slurm_config(std::string_view text) {
  std::map<std::string, std::string> config;
  for (const std::string& line : lines_of(text)) {
    const size_t equals = line.find(" = ");
    if (equals == std::string::npos) continue;
    config.emplace(trimmed(std::string_view(line).substr(0, equals)),
                   trimmed(std::string_view(line).substr(equals + 3)));
  }
  return config;
}

std::map<std::string, std::string> parse_slurm_record(std::string_view line) {
  std::map<std::string, std::string> record;
  std::istringstream words{std::string(line)};
  for (std::string word; words >> word;)
    if (const size_t equals = word.find('='); equals != std::string::npos)
      record.emplace(word.substr(0, equals), word.substr(equals + 1));
  return record;
}

std::vector<std::map<std::string, std::string>> parse_slurm_records(std::string_view text) {
  std::vector<std::map<std::string, std::string>> records;
  for (const std::string& line : lines_of(text))
    if (auto record = parse_slurm_record(line); !record.empty()) records.push_back(std::move(record));
  return records;
}

std::optional<long> leading_number(std::string_view text) {
  const std::string_view digits = trimmed(text);
  long value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end == digits.data()) return std::nullopt;
  return value;
}

std::vector<SinfoLine> parse_sinfo(std::string_view text) {
  std::vector<SinfoLine> lines;
  for (const std::string& line : lines_of(text)) {
    std::vector<std::string> fields;
    std::istringstream stream(line);
    for (std::string field; std::getline(stream, field, '|');) fields.emplace_back(trimmed(field));
    if (fields.size() != 5) continue;
    lines.push_back({fields[0], fields[1], fields[2], leading_number(fields[3]).value_or(0), fields[4]});
  }
  return lines;
}

std::vector<std::string> parse_srun_mpi_list(std::string_view text) {
  std::vector<std::string> kinds;
  for (const std::string& line : lines_of(text)) {
    std::string rest(trimmed(line));
    if (rest.rfind("srun: ", 0) == 0) rest = rest.substr(6);  // Slurm 20 and older
    if (rest.rfind("MPI", 0) == 0) continue;                  // the heading
    if (const size_t colon = rest.rfind(": "); colon != std::string::npos) {
      if (rest.find("versions available") == std::string::npos) continue;  // an error
      rest = rest.substr(colon + 2);
    }
    for (char& c : rest)
      if (c == ',') c = ' ';
    std::istringstream words(rest);
    for (std::string word; words >> word;) kinds.push_back(word);
  }
  return kinds;
}

}  // namespace nexus
