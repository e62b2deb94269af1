// What the parts of a launch share: what it is given (LaunchContext), and what it trains (Training), which a resume or
// a start makes (campaign/resume.h, campaign/stage_entry.h) and the loop over stages advances (campaign/campaign.cpp).
#pragma once

#include <memory>

#include "campaign/grow_stage.h"
#include "campaign/launch_inputs.h"
#include "campaign/run_session.h"

namespace nexus {

struct LaunchContext {
  const CampaignInput& input;
  const LaunchOptions& launch;
  Backend& backend;
  RunSession& session;
  const LaunchInputs& inputs;
  Sharding sharding;

  const CampaignSpec& spec() const { return input.spec; }
  std::unique_ptr<Trained> make_model(const ModelConfig& config) const {
    return std::make_unique<Trained>(config, backend, spec().precision.compute, sharding);
  }
};

struct Training {
  std::unique_ptr<Trained> trained;
  TrainState state;
  bool plan_is_new = false;  // settings have changed within the stage: its record must be written anew
};

// Suspect the ranks first: all must train the same model by the same rules, from whatever they have read. Collective.
void require_agreement(const LaunchContext& context, const Training& training);

}  // namespace nexus
