#include "campaign/launch_inputs.h"

#include "core/error.h"

namespace nexus {

LaunchInputs::LaunchInputs(const CampaignSpec& spec, Communicator& world)
    : data(open_data(spec.data, spec.model, spec.seed)), files(spec, data, world) {}

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

DataReview require_inputs(const CampaignSpec& spec, Communicator& world) {
  const LaunchInputs inputs(spec, world);
  // A run that has begun does not read its ancestor again.
  if (!spec.init_from.empty() && list_checkpoints(RunFolder{spec.out}).empty())
    static_cast<void>(ancestor_state(spec, Checkpoint(spec.init_from, /*verify_data=*/false)));
  return world.rank() == 0 ? review_data(spec, inputs.data, units_of_ancestors(spec, inputs.data)) : DataReview{};
}

}  // namespace nexus
