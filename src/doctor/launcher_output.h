// What mpirun, srun and our own probe below them print, as data. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "doctor/ranks.h"

namespace nexus {

// Why a launcher did not start the probe, of the reasons that have a cure of their own.
enum class LaunchTrouble {
  kNone,
  kRoot,     // mpirun refuses to run as root
  kSlots,    // fewer slots than ranks
  kBinding,  // ranks cannot be bound to processors here
  kOverlap,  // a Slurm too old for --overlap
  kAbsent,   // the program is not on every node
  kNoShell   // Open MPI finds no ssh, which it asks for on one host too
};
LaunchTrouble launch_trouble(std::string_view output);

// A line of the probe begins with this; JSON follows.
constexpr std::string_view kProbeMark = "nexus-probe ";
std::string probe_line(const WorldFacts& facts);
std::string singleton_line(const std::string& why);  // of a process that MPI left alone although others were started

// What the probes of one launch wrote. Lines of others, and torn ones, are left out.
struct ProbeOutput {
  std::vector<WorldFacts> worlds;
  int singletons = 0;  // worlds of one rank, and processes that refused to be one
};
ProbeOutput parse_probe_output(std::string_view output);

}  // namespace nexus
