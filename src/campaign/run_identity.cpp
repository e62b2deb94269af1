#include "campaign/run_identity.h"

#include <unistd.h>

#include <algorithm>
#include <random>

#include "checkpoint/checkpoint.h"
#include "comm/communicator.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/host.h"
#include "core/log.h"
#include "model/workload.h"
#include "records/run_description.h"
#include "system/clock.h"

namespace nexus {
namespace {

std::string random_id() {
  std::random_device device;
  std::string bytes;
  for (int i = 0; i < 4; ++i) bytes += fmt::format("{:08x}", device());
  return bytes;
}

LaunchFacts facts_of_launch(const CampaignInput& input, const LaunchOptions& launch, const Backend& backend,
                            const std::string& grid, const LaunchMark& mark) {
  LaunchFacts facts;
  facts.version = launch.version;
  facts.backend = backend.description();
  facts.mpi = MpiSession::library_version();
  facts.grid = grid;
  facts.host = host_name();
  facts.config_digest = hash_text(input.resolved_yaml);
  facts.command = launch.command_line;
  facts.pid = ::getpid();
  facts.mark = mark;
  facts.time = unix_seconds();
  return facts;
}

RunDescription read_complete(const RunFolder& run) {
  std::optional<RunDescription> description = RunDescription::read(run);
  if (description && description->is_complete()) return *std::move(description);
  throw Error(ErrorKind::kData, "not a run.json of nexus", run.run_json(),
              "name another run folder, or mend the file from a copy");
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
    RunDescription(known.empty() ? random_id() : known).write(run);
    if (!known.empty())
      warn("{} was gone: the run's id is taken from its newest checkpoint, its earlier launches are not known",
           run.run_json());
  }
  return read_complete(run).run_id();
}

std::string recorded_flops_def(const RunFolder& run) {
  return read_complete(run).flops_def();
}

void record_launch(const RunFolder& run, const CampaignInput& input, const LaunchOptions& launch,
                   const Backend& backend, const std::string& grid, const LaunchMark& mark,
                   const nlohmann::json& data) {
  const CampaignSpec& spec = input.spec;
  RunDescription description = read_complete(run);
  description.describe(spec.name, workload(spec.model.workload).words(), spec.model.arch, spec.seed,
                       spec.account.flops_def, spec.init_from, data);
  for (const std::string& difference : description.add_launch(facts_of_launch(input, launch, backend, grid, mark)))
    warn(
        "this launch differs from the one before in {}: it goes on, but not with the same bits; launch as before where "
        "that matters",
        difference);
  description.write(run);
  write_file_durably(run.config(), input.file_text);
  write_file_durably(run.resolved_config(), input.resolved_yaml);
}

}  // namespace nexus
