// Which launch wrote a record: the generation of the run folder's lease, and the start of a Slurm job that it is.
#pragma once

#include <cstdint>

#include "system/launch_environment.h"

namespace nexus {

struct LaunchMark {
  int64_t generation = 0;  // rows that an older launch writes later are not this run's
  SlurmJob job;
};

}  // namespace nexus
