// Trouble of reading that may pass. Private to this module.
//
// A disk or a network file system that fails once (EIO, ESTALE, a full table of open files) says nothing about the
// bytes: only bytes that were read and do not match their digest are damage. What failed is done again a few times,
// from opening the file on; then the error, kIo, is for the launch, and no checkpoint is touched.
#pragma once

#include <chrono>

#include "core/error.h"
#include "core/log.h"

namespace nexus {

// The first pause; every further one is three times as long. Tests shorten it.
extern std::chrono::milliseconds retry_pause;

// Whether to do again what has failed for the `failures`-th time: three times, where it is of kIo, after a warning and
// a pause.
bool try_again(const Error& error, int failures);

// `work` may be called several times.
template <typename Work>
auto retry_io(const Work& work) {
  for (int failures = 1;; ++failures) {
    try {
      return work();
    } catch (const Error& error) {
      if (!try_again(error, failures)) throw;
    }
  }
}

// The same for what ends in a verdict: damage must show twice. Not all trouble of reading comes with an error, least of
// all through HDF5.
template <typename Work>
auto look_twice(const Work& work) {
  try {
    return retry_io(work);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kCheckpoint) throw;
    warn("{}; {}; looking again", error.fact(), error.where());
  }
  return retry_io(work);
}

}  // namespace nexus
