// `nexus study plan`: what a study will train, and what its seeds can show, before anything runs.
#pragma once

#include <string>

#include "spec/study_spec.h"

namespace nexus {

// A table for people: tokens and training FLOPs of each arm's own stages over all seeds, then the smallest paired
// difference that the seeds show (statistics/power.h), where the study states its noise. Throws ErrorKind::kConfig
// where a batch does not divide over the ranks of a run.
std::string plan_text(const StudySpec& study);

}  // namespace nexus
