#include "campaign/launch_inputs.h"

#include "core/error.h"
#include "core/files.h"
#include "records/run_description.h"
#include "records/status_record.h"

namespace nexus {

LaunchInputs::LaunchInputs(const CampaignSpec& spec, const std::vector<TaskSpec>& all_tasks, Communicator& world)
    : data(open_data(spec.data, spec.model, spec.seed)), files(spec, data, world), tasks(spec, all_tasks, world) {}

std::string ancestor_checkpoint(const CampaignSpec& spec) {
  if (spec.init_from.empty()) return "";
  const RunFolder ancestor{spec.init_from}, run{spec.out};
  const auto done = [](const std::optional<StatusRecord>& status) { return status && status->is_done(); };
  const std::vector<CheckpointEntry> all = list_checkpoints(ancestor);
  if (!list_checkpoints(run).empty() || done(read_status(run))) {
    if (!all.empty()) return all.back().path;
    const std::optional<RunDescription> own = RunDescription::read(run);
    const bool was_in_it = own && own->init_from().starts_with(ancestor.checkpoints() + "/");
    return was_in_it ? own->init_from() : spec.init_from;
  }
  if (!path_exists(ancestor.status()) && !path_exists(ancestor.jobs())) return spec.init_from;
  if (const std::optional<StatusRecord> status = read_status(ancestor); !done(status))
    throw Error(ErrorKind::kConfig,
                fmt::format("the run that init_from names is not done: {}", status ? status->text : "it has not begun"),
                spec.init_from, "finish it, or name one of its checkpoints");
  if (all.empty() || !all.back().problem.empty())  // an older one would be another start
    throw Error(ErrorKind::kCheckpoint, all.empty() ? "there is no checkpoint" : all.back().problem,
                all.empty() ? ancestor.checkpoints() : all.back().path,
                "bring it back from a copy, or name another checkpoint with init_from");
  return all.back().path;
}

TrainState ancestor_state(const CampaignSpec& spec, const Checkpoint& checkpoint) {
  TrainState ancestor = train_state_from_json(checkpoint.state(), spec.init_from);
  ModelConfig expected = spec.model;
  expected.validate();
  if (!(ancestor.model == expected))
    throw Error(ErrorKind::kConfig,
                fmt::format("the checkpoint holds \"{}\", the campaign's model is \"{}\"", describe(ancestor.model),
                            describe(expected)),
                spec.init_from, "copy the checkpoint's widths into `model`; stages.0.grow changes them");
  return ancestor;
}

DataReview require_inputs(const CampaignSpec& spec, const std::vector<TaskSpec>& tasks, Communicator& world) {
  const LaunchInputs inputs(spec, tasks, world);
  // A run that has begun does not read its ancestor again.
  if (!spec.init_from.empty() && list_checkpoints(RunFolder{spec.out}).empty())
    static_cast<void>(ancestor_state(spec, Checkpoint(spec.init_from, /*verify_data=*/false)));
  return world.rank() == 0 ? review_data(spec, inputs.data, units_of_ancestors(spec, inputs.data)) : DataReview{};
}

}  // namespace nexus
