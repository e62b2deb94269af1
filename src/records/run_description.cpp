#include "records/run_description.h"

#include <algorithm>

#include "core/error.h"
#include "core/files.h"
#include "core/json_text.h"

namespace nexus {
namespace {

using nlohmann::json;

constexpr const char *kRunIdKey = "run_id", *kNameKey = "name", *kArchKey = "arch", *kFlopsDefKey = "flops_def",
                     *kWorkloadKey = "workload", *kLaunchesKey = "launches", *kGenerationKey = "generation";

json to_json(const LaunchFacts& facts) {
  return {{"version", facts.version},
          {"backend", facts.backend},
          {"mpi", facts.mpi},
          {"grid", facts.grid},
          {"host", facts.host},
          {"config_digest", facts.config_digest},
          {"command", facts.command},
          {"pid", facts.pid},
          {kGenerationKey, facts.mark.generation},
          {"job", facts.mark.job.id},
          {"restart", facts.mark.job.restart},
          {"time", facts.time}};
}

}  // namespace

RunDescription::RunDescription(const std::string& run_id)
    : document_{{kRunIdKey, run_id}, {kLaunchesKey, json::array()}} {}

std::optional<RunDescription> RunDescription::read(const RunFolder& run) {
  if (!path_exists(run.run_json())) return std::nullopt;
  RunDescription found;
  found.place_ = run.run_json();
  found.document_ = json::parse(read_text_file(run.run_json()), nullptr, /*allow_exceptions=*/false);
  if (!found.document_.is_object())
    throw Error(ErrorKind::kData, "malformed run.json: no JSON object", run.run_json(), "restore the file from a copy");
  return found;
}

bool RunDescription::is_complete() const {
  return !run_id().empty() && document_.contains(kLaunchesKey) && document_[kLaunchesKey].is_array();
}

std::string RunDescription::text(const char* key) const {
  const auto found = document_.find(key);
  return found != document_.end() && found->is_string() ? found->get<std::string>() : "";
}

int64_t RunDescription::highest_generation() const {
  int64_t highest = 0;
  if (!document_.contains(kLaunchesKey) || !document_[kLaunchesKey].is_array()) return highest;
  for (const json& launch : document_[kLaunchesKey]) {
    if (!launch.is_object() || !launch.contains(kGenerationKey) || !launch[kGenerationKey].is_number_integer())
      continue;
    highest = std::max(highest, launch[kGenerationKey].get<int64_t>());
  }
  return highest;
}

WorkloadWords RunDescription::words() const {
  const auto found = document_.find(kWorkloadKey);
  return found == document_.end() ? WorkloadWords{} : words_from_json({*found, place_ + ": workload"});
}

void RunDescription::describe(const std::string& name, const WorkloadWords& words, const std::string& arch,
                              uint64_t seed, const std::string& flops_def, const std::string& init_from,
                              const json& data) {
  document_[kNameKey] = name;
  document_[kWorkloadKey] = to_json(words);
  document_[kArchKey] = arch;
  document_["seed"] = seed;
  document_[kFlopsDefKey] = flops_def;
  document_["init_from"] = init_from;
  document_["data"] = data;
}

std::vector<std::string> RunDescription::add_launch(const LaunchFacts& facts) {
  const json now = to_json(facts);
  json& launches = document_[kLaunchesKey];
  std::vector<std::string> differences;
  for (const char* key : {"version", "backend", "mpi", "grid"}) {
    if (launches.empty()) break;
    const json& last = launches.back();
    const json before = last.is_object() && last.contains(key) ? last[key] : json();
    if (before != now[key])
      differences.push_back(fmt::format("{} ({}, was {})", key, json_text(now[key]), json_text(before)));
  }
  launches.push_back(now);
  return differences;
}

void RunDescription::write(const RunFolder& run) const {
  write_file_durably(run.run_json(), json_text(document_, 2) + "\n");
}

}  // namespace nexus
