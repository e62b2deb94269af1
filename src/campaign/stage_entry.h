// How a run begins, and how it comes from one stage into the next: the model, grown where the stage says so.
#pragma once

#include <cstddef>

#include "campaign/training.h"

namespace nexus {

// A run without a past: new weights, or those of init_from's checkpoint, in the first stage. Collective. Throws
// ErrorKind::kConfig where the first stage grows out of nothing.
Training start_training(const LaunchContext& context);

// Collective. Throws ErrorKind::kNumeric where a growth breaks its promise (require_sound_growth).
void enter_stage(const LaunchContext& context, size_t stage, Training& training);

}  // namespace nexus
