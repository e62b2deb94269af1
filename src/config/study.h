// Study files (configs/studies/*.yaml, docs/studies.md): read and checked like campaign files. Every mistake is
// ErrorKind::kConfig: "WHAT; study.yaml:12 key arms.fan_in.set; do THIS". The keys:
//
//   study: NAME             question: TEXT          base: CAMPAIGN.yaml    out: FOLDER
//   seeds: [1, 2, 3]        baseline: ARM (null: the first arm)
//   parents: {NAME: ARM...} trained once per seed for others to start from
//   arms: {NAME: {from: NAME, base: CAMPAIGN.yaml, set: {KEY: VALUE}, sweep: {KEY: [VALUE, VALUE]}}}
//   pick: lowest_mean_loss  wanted where there is a sweep: how a swept arm's value is chosen
//   ranks: 1   at_once: 1   device: cpu   noise: null
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "spec/study_spec.h"

namespace nexus {

// Reads the file and loads the campaign of every arm, so that a mistake in any of them is found before anything runs.
StudySpec load_study(const std::string& file);
// The same for one document in memory; `source` names it in messages.
StudySpec load_study_text(const std::string& text, const std::string& source);

// Whether a file is a study and no campaign. Throws ErrorKind::kConfig where it is no YAML map.
bool is_study(const std::string& file);

// The campaign of a run. Without `init_from`, a checkpoint of it, it starts from its parent's folder, which is to say
// from the last checkpoint of a run that is done (campaign/launch_inputs.h).
LoadedCampaign campaign_of(const StudySpec& study, const StudyRun& run, const std::string& init_from = "");

}  // namespace nexus
