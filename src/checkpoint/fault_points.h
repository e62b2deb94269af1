// Named moments of a save at which tests throw or kill the process. Without a hook a point costs one comparison.
#pragma once

#include <array>
#include <functional>
#include <string_view>

namespace nexus {

// In the order in which a save passes them; each is reported just before the operation it names. "shard-open" to
// "shard-sync" are passed on the save's own thread.
inline constexpr std::array<std::string_view, 11> kFaultPoints = {
    "folder",          // the temporary folder is made
    "shard-open",      // the writer's HDF5 file is created
    "shard-write",     // a slice is written (once per slice)
    "shard-close",     // HDF5 flushes and closes
    "read-back",       // the file is read again and compared
    "shard-sync",      // the file is fsynced
    "state-write",     // rank 0 writes state.json
    "manifest-write",  // rank 0 writes MANIFEST.json
    "rename",          // the commit: the folder gets its name
    "latest",          // the checkpoint is committed; the hint LATEST is replaced
    "old-remove",      // an older checkpoint of the same step is removed
};
// Points from here on lie behind the commit: a failure there is a warning, the save has succeeded.
inline constexpr std::string_view kFirstPointAfterCommit = "latest";

using FaultHook = std::function<void(std::string_view point)>;

// Tests only. An empty hook ends it. Set it while no save is under way; the hook itself may run on a save's thread.
void set_fault_hook(FaultHook hook);

// Calls the hook, which may throw or end the process.
void fault_point(std::string_view point);

}  // namespace nexus
