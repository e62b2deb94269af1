// The checks of `nexus doctor` that ask the machine. Each runs what it needs by argv (system/process.h), takes a
// bounded time, and returns findings; what cannot be asked is a finding too. Nothing here starts MPI in this process,
// except probe_ranks (doctor/ranks.h).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "doctor/finding.h"
#include "system/launch_environment.h"

namespace nexus {

// Does mpirun, and inside an allocation srun, make one world of two of us? `program` is this program's path; started as
// `program doctor probe` it runs probe_ranks.
std::vector<Finding> check_launchers(const std::string& program, const LaunchEnvironment& launch);

// Open MPI's PMIx asks MUNGE whenever ranks are started, and tries for 2 s where munged was killed and has left its
// `socket` behind.
std::vector<Finding> check_munge(const std::string& socket = "/run/munge/munge.socket.2");

// Slurm's commands, settings, partitions, and this job.
std::vector<Finding> check_slurm(const LaunchEnvironment& launch);

// Is the wall clock kept by a time service?
std::vector<Finding> check_clock();

// The driver's view by nvidia-smi; `build` is what this program's CUDA part says ("CUDA 13.0, 1 device: ..."), empty
// where it was built without.
std::vector<Finding> check_cuda(const std::string& build, int devices);

// Do the ranks of this launch see each other's files in `folder`? Every rank calls it; they talk through files only.
// Findings on rank 0, nothing elsewhere. Ranks that do not see the folder say so on stderr.
std::vector<Finding> check_visibility(const std::string& folder, const LaunchEnvironment& launch,
                                      double patience_seconds);

}  // namespace nexus
