// What the commands that start MPI share: the session, the back end, and how errors end a job.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "backend/backend.h"
#include "comm/communicator.h"
#include "records/launch_end.h"

namespace nexus {

// A rank's device, and the world whose tensors lie in its memory.
struct Device {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Communicator> world;  // ends before the back end
};

// What `--device` names: "cpu", or "cuda": the GPU of this rank's place on its node. `deterministic` matters to GPUs
// only. Collective. Throws ErrorKind::kConfig with the cure where the device is not in this build or not here.
Device open_device(const std::string& device, bool deterministic, std::unique_ptr<Communicator> world);

// Threads per rank where OMP_NUM_THREADS is unset: the processors this process is bound to, or, unbound, its share of
// the node's. Without it, N ranks on one node would start N times as many threads as there are cores.
int threads_per_rank();

// Starts MPI, runs `body`, ends MPI. An error on any rank ends the whole job with its exit code: the other ranks may
// wait in a collective that will never complete.
// `on_error` hears of the error before the job ends. Ranks other than 0 give rank 0 some seconds to report first: an
// error that all ranks see is then reported once.
int run_under_mpi(const std::function<int(std::unique_ptr<Communicator> world)>& body,
                  const std::function<void(const std::string& text, const LaunchEnd& end)>& on_error = {});

// `nexus: error: WHAT; WHERE; do THIS` on stderr.
void print_error(const std::string& text, int rank);

}  // namespace nexus
