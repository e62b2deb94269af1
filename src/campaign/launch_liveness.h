// Whether the launch that wrote STATUS last still lives. A launch that is killed, or whose machine goes down, cannot
// say so: its STATUS goes on saying "running".
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "campaign/run_lease.h"
#include "core/run_folder.h"

namespace nexus {

// For each run, whether its newest launch has ended: by its process where it ran on this machine; elsewhere by whether
// its lease is renewed, which takes some seconds to see, `times.expiry_seconds` for all runs together where it is not.
// No two clocks are compared. `vouched` (may be empty) says which launches elsewhere need not be watched. False also
// where there was no launch.
std::vector<bool> launches_gone(const std::vector<RunFolder>& runs,
                                const std::function<bool(const LeaseRecord&)>& vouched = {},
                                const LeaseTimes& times = {});

// STATUS of a launch that is gone: "killed stage ..." for "running stage ...", and why. Others stay as they are.
std::string status_of_gone(const std::string& status);

}  // namespace nexus
