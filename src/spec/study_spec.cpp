#include "spec/study_spec.h"

#include <fmt/format.h>

namespace nexus {

std::vector<StudyRun> runs_of(const StudySpec& study) {
  std::vector<StudyRun> runs;
  const size_t seeds = study.seeds.size();
  for (size_t arm = 0; arm < study.arms.size(); ++arm)
    for (size_t s = 0; s < seeds; ++s) {
      StudyRun run{arm, study.seeds[s], std::nullopt,
                   fmt::format("{}/{}/seed-{}", study.out, study.arms[arm].name, study.seeds[s])};
      if (study.arms[arm].parent) run.parent = *study.arms[arm].parent * seeds + s;
      runs.push_back(std::move(run));
    }
  return runs;
}

std::string name_of(const StudySpec& study, const StudyRun& run) {
  return fmt::format("{} seed {}", study.arms[run.arm].name, run.seed);
}

}  // namespace nexus
