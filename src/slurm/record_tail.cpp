#include "slurm/record_tail.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/error.h"

namespace nexus {
namespace {

using nlohmann::json;

template <typename T>
T number(const json& value, const char* key) {
  const auto found = value.find(key);
  return found != value.end() && found->is_number() ? found->get<T>() : T{};
}

}  // namespace

int64_t size_of_file(const std::string& path) {
  std::error_code failed;
  const auto size = std::filesystem::file_size(path, failed);
  return failed ? 0 : static_cast<int64_t>(size);
}

std::vector<RunRecord> records_from(const std::string& path, int64_t offset) {
  std::vector<RunRecord> records;
  std::ifstream file(path);
  if (offset > size_of_file(path)) offset = 0;
  std::string line;
  if (offset > 0) {
    file.seekg(offset - 1);
    std::getline(file, line);  // the rest of the line that holds the byte before: empty if it ended there
  }
  while (std::getline(file, line)) {
    json value = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!value.is_object()) continue;
    const auto kind = value.find("kind");
    if (kind == value.end() || !kind->is_string()) continue;
    RunRecord record{*kind,
                     {number<int64_t>(value, "stage_index"), number<int64_t>(value, "step")},
                     number<double>(value, "time"),
                     {}};
    record.value = std::move(value);
    records.push_back(std::move(record));
  }
  return records;
}

std::string lineage_fault(const std::vector<RunRecord>& ledger) {
  Position head{0, 0};
  int64_t generation = 0;
  for (const RunRecord& record : ledger) {
    const int64_t own = number<int64_t>(record.value, "generation");
    if (own != 0 && own < generation) return fmt::format("generation {} wrote after generation {}", own, generation);
    generation = std::max(generation, own);
    if (record.kind == "commit" && record.at < head)
      return fmt::format("stage {} step {} was committed after stage {} step {}, without a resume", record.at.first,
                         record.at.second, head.first, head.second);
    if (record.kind == "commit" || record.kind == "resume") head = record.at;
  }
  return "";
}

}  // namespace nexus
