#include "campaign/run_identity.h"

#include <unistd.h>

#include <algorithm>
#include <random>

#include "checkpoint/checkpoint.h"
#include "comm/communicator.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/json_text.h"
#include "core/log.h"
#include "system/clock.h"
#include "system/host.h"

namespace nexus {
namespace {

using nlohmann::json;

std::string random_id() {
  std::random_device device;
  std::string bytes;
  for (int i = 0; i < 4; ++i) bytes += fmt::format("{:08x}", device());
  return bytes;
}

json facts_of_launch(const CampaignInput& input, const LaunchOptions& launch, const Backend& backend,
                     const std::string& grid, const LaunchMark& mark) {
  return {{"version", launch.version},
          {"backend", backend.description()},
          {"mpi", MpiSession::library_version()},
          {"grid", grid},
          {"host", host_name()},
          {"config_digest", hash_text(input.resolved_yaml)},
          {"command", launch.command_line},
          {"pid", ::getpid()},
          {"generation", mark.generation},
          {"job", mark.job},
          {"restart", mark.restart},
          {"time", unix_seconds()}};
}

void warn_of_changes(const json& before, const json& now) {
  for (const char* key : {"version", "backend", "mpi", "grid"})
    if (before.value(key, json()) != now.at(key))
      warn(
          "this launch differs from the one before in {} ({}, was {}): it goes on, but not with the same bits; launch "
          "as before where that matters",
          key, json_text(now.at(key)), json_text(before.value(key, json())));
}

json read_run_json(const RunFolder& run) {
  json document = json::parse(read_text_file(run.run_json()), nullptr, false);
  if (!document.is_object() || !document.contains("run_id") || !document["launches"].is_array())
    throw Error(ErrorKind::kData, "not a run.json of nexus", run.run_json(),
                "name another run folder, or mend the file from a copy");
  return document;
}

// Of the newest one that can be read; "" where there is none at all.
std::string id_of_checkpoints(const RunFolder& run) {
  const std::vector<CheckpointEntry> all = list_checkpoints(run);
  if (all.empty()) return "";
  const auto newest =
      std::find_if(all.rbegin(), all.rend(), [](const CheckpointEntry& entry) { return entry.problem.empty(); });
  if (newest != all.rend()) return newest->id.run_id;
  throw Error(ErrorKind::kCheckpoint, "run.json is gone, and no checkpoint can be read that would tell the run's id",
              run.run_json(), "bring run.json or a checkpoint back from a copy, then run the same command again");
}

}  // namespace

std::string identify_run(const RunFolder& run) {
  if (!path_exists(run.run_json())) {
    const std::string known = id_of_checkpoints(run);
    const json document{{"run_id", known.empty() ? random_id() : known}, {"launches", json::array()}};
    write_file_durably(run.run_json(), json_text(document, 2) + "\n");
    if (!known.empty())
      warn("{} was gone: the run's id is taken from its newest checkpoint, its earlier launches are not known",
           run.run_json());
  }
  return read_run_json(run)["run_id"].get<std::string>();
}

std::string recorded_flops_def(const RunFolder& run) {
  return read_run_json(run).value("flops_def", "");
}

void record_launch(const RunFolder& run, const CampaignInput& input, const LaunchOptions& launch,
                   const Backend& backend, const std::string& grid, const LaunchMark& mark, const json& data) {
  const CampaignSpec& spec = input.spec;
  json document = read_run_json(run);
  document["name"] = spec.name;
  document["arch"] = spec.model.arch;
  document["seed"] = spec.seed;
  document["flops_def"] = spec.account.flops_def;
  document["init_from"] = spec.init_from;
  document["data"] = data;
  const json facts = facts_of_launch(input, launch, backend, grid, mark);
  if (!document["launches"].empty()) warn_of_changes(document["launches"].back(), facts);
  document["launches"].push_back(facts);
  write_file_durably(run.run_json(), json_text(document, 2) + "\n");
  write_file_durably(run.config(), input.file_text);
  write_file_durably(run.resolved_config(), input.resolved_yaml);
}

}  // namespace nexus
