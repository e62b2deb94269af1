#include "campaign/training.h"

#include "core/json_text.h"

namespace nexus {

void require_agreement(const LaunchContext& context, const Training& training) {
  Communicator& world = context.session.world();
  const TrainState& state = training.state;
  world.require_equal("the configuration", context.input.resolved_yaml);
  world.require_equal("the parameter table", training.trained->model.table().digest());
  world.require_equal("where the run stands",
                      fmt::format("stage {} step {} samples {} seed {} data {} {}", state.stage_index, state.step,
                                  state.samples, state.seed, state.data_digest, json_text(to_json(state.data))));
}

}  // namespace nexus
