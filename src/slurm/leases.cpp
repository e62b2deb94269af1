#include "slurm/leases.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/files.h"
#include "core/run_folder.h"

namespace nexus {
namespace {

using nlohmann::json;

int64_t count(const json& lease, const char* key) {
  const auto found = lease.find(key);
  return found != lease.end() && found->is_number() ? found->get<int64_t>() : 0;
}

std::string text_or_number(const json& lease, const char* key) {
  const auto found = lease.find(key);
  if (found == lease.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  return found->is_number_integer() ? std::to_string(found->get<int64_t>()) : "";
}

}  // namespace

std::vector<LeaseRow> read_leases(const std::string& run) {
  std::vector<LeaseRow> leases;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(RunFolder{run}.lease_folder(), ignored)) {
    if (entry.path().extension() != ".json") continue;
    json lease;
    try {
      lease = json::parse(read_text_file(entry.path().string(), 1 << 20), nullptr, false);
    } catch (const Error&) {
      continue;  // gone, or being replaced
    }
    if (!lease.is_object() || count(lease, "generation") <= 0) continue;
    const auto seconds = lease.find("seconds"), released = lease.find("released");
    leases.push_back({count(lease, "generation"), text_or_number(lease, "job"), count(lease, "restart"),
                      count(lease, "ranks"), count(lease, "nodes"), count(lease, "commit"),
                      seconds != lease.end() && seconds->is_number() ? seconds->get<double>() : 0,
                      released != lease.end() && released->is_boolean() && released->get<bool>()});
  }
  std::sort(leases.begin(), leases.end(),
            [](const LeaseRow& a, const LeaseRow& b) { return a.generation < b.generation; });
  return leases;
}

int64_t vain_starts(const std::vector<LeaseRow>& leases, const std::string& job, int64_t restart) {
  int64_t last = -1;
  for (const LeaseRow& lease : leases)
    if (lease.job == job && lease.restart <= restart) last = std::max(last, lease.restart);
  return restart - last;
}

}  // namespace nexus
