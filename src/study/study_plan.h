// `nexus study plan`: what a study will train, and what its seeds can show, before anything runs.
#pragma once

#include <optional>
#include <string>

#include "spec/study_spec.h"

namespace nexus {

// A table for people: tokens, training FLOPs and hours of each arm's own stages over all seeds; how long all take, with
// as many at a time as the study says; the smallest paired difference that the seeds show (statistics/power.h), where
// the study states its noise. Hours are of optimizer steps alone: by `mfu`, the share of account.peak_tflops that is
// reached, else by the steps that runs of the study have made; without either there are none. Throws ErrorKind::kConfig
// where a batch does not divide over the ranks of a run, or `mfu` has no peak.
std::string plan_text(const StudySpec& study, std::optional<double> mfu);

}  // namespace nexus
