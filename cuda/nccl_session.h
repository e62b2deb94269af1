// NCCL in this process: its communicators, the one stream that they share, and what happens when they fail.
//
// All communicators (dp, tp) use one stream, so their collectives run in the order of the program, which is the same on
// every rank: no two of them can wait for each other. It runs at the device's highest priority, because a collective
// that waits for free multiprocessors holds up the other ranks, too.
//
// Failures that NCCL notices while collectives run are looked for whenever the host waits for the device (Queue). Then,
// as when an error unwinds or the watchdog ends the process, all communicators are aborted together: one alone could
// wait for a collective of another that is before it on the stream.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/progress.h"
#include "core/library_version.h"
#include "cuda/queue.h"

namespace nexus::cuda {

// "NCCL 2.28.9", or that there is none.
std::string nccl_description();
std::vector<LibraryVersion> nccl_libraries();  // none where it is not in this build

enum class Collective { kAllReduce, kReduceScatter, kAllGather };

class NcclSession {
 public:
  // One per process at a time; it must end before the queue. Throws ErrorKind::kConfig where NCCL is not in this build.
  explicit NcclSession(Queue& queue);
  ~NcclSession();

  // A communicator of the ranks of `hosts`, two or more, on GPUs of their own; proves that it works. Collective over
  // `hosts`. `operation` is what the watchdog calls it. Throws ErrorKind::kComm.
  int connect(Communicator& hosts, const progress::Operation& operation);
  // Collective over the ranks of `id`, unless an error is unwinding.
  void disconnect(int id, const progress::Operation& operation) noexcept;

  // Starts a collective after everything on the queue. `count` is of the smaller tensor: what each rank sends to an
  // all-gather or gets from a reduce-scatter. Call the result to let the queue go on only after the collective.
  std::function<void()> start(int id, Collective collective, const void* from, void* to, int64_t count, DType dtype,
                              const progress::Operation& operation);

  // Never returns once the watchdog is ending this process: what aborted collectives have left behind is garbage, and
  // nothing may come of it.
  void hold_if_leaving();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nexus::cuda
