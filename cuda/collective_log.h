// Which collectives the device has begun and finished. Any thread can read it without a call into CUDA, which may hang
// while the device does: the stream itself writes the two numbers into host memory, a microsecond each.
#pragma once

#include <cudaTypedefs.h>

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

#include "comm/progress.h"
#include "cuda/cuda_check.h"

namespace nexus::cuda {

class CollectiveLog {
 public:
  // Of the current device. Where its driver cannot write from a stream, nothing is ever running.
  CollectiveLog();
  CollectiveLog(const CollectiveLog&) = delete;
  CollectiveLog& operator=(const CollectiveLog&) = delete;

  // Before and after the launch of a collective; always on the same stream.
  void begin(const progress::Operation& operation, cudaStream_t stream);
  void end(cudaStream_t stream);

  // The collective that the device is in.
  std::optional<progress::Operation> running() const;
  // Whether the device has finished any since the last call.
  bool advanced();

 private:
  // What the device writes: numbers of collectives, from 1, modulo 2^32.
  struct Reached {
    uint32_t begun = 0, finished = 0;
  };
  Reached reached() const;
  void write(cudaStream_t stream, const uint32_t& place);

  PFN_cuStreamWriteValue32_v11070 write_value_ = nullptr;  // null: no log; of the main thread
  PinnedMemory memory_;                                    // of the words
  Reached* words_ = nullptr;
  CUdeviceptr device_words_ = 0;
  uint32_t last_ = 0;  // number of the last collective launched
  uint32_t seen_finished_ = 0;
  mutable std::mutex mutex_;                    // guards what follows
  std::deque<progress::Operation> operations_;  // numbers last_ - size + 1 ... last_
};

}  // namespace nexus::cuda
