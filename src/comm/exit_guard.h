// The exit code of an error that has been told, whatever happens while the process ends.
#pragma once

namespace nexus {

// From now on a signal that a fault of the process raises (SEGV, BUS, ABRT, ...) ends it with `code`, after a line and
// a stack on stderr. For when an error has been told and only libraries are still to be ended: MPI's abort with its
// threads, and destructors. A start that was refused did end in a segmentation fault, once in some 160, and 139 would
// tell launchers and `slurm job-end` that the ranks were killed and may be started again.
void guard_exit_code(int code);

}  // namespace nexus
