#include "data/durable_stream.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/error.h"
#include "core/files.h"

namespace nexus {
namespace {

constexpr size_t kBufferBytes = 1 << 16;

}  // namespace

DurableStream::DurableStream(const std::string& path) : path_(path), partial_(path + ".partial") {
  descriptor_ = ::open(partial_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (descriptor_ < 0) throw_errno("create", partial_);
  try {
    lock_or_throw();
    if (::ftruncate(descriptor_, 0) != 0) throw_errno("truncate", partial_);
  } catch (...) {
    ::close(std::exchange(descriptor_, -1));
    throw;
  }
  buffer_.reserve(kBufferBytes);
}

DurableStream::~DurableStream() {
  if (descriptor_ < 0) return;
  ::unlink(partial_.c_str());
  ::close(descriptor_);
}

void DurableStream::lock_or_throw() {
  const bool busy = ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  // Between our open and our lock the other writer may have finished: then this descriptor is its finished file.
  struct stat ours {
  }, named{};
  const bool same = ::fstat(descriptor_, &ours) == 0 && ::stat(partial_.c_str(), &named) == 0 &&
                    ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
  if (busy || !same)
    throw Error(ErrorKind::kIo, "another process is writing this file", partial_, "wait until it has ended");
}

void DurableStream::write(const void* data, size_t size_bytes) {
  hasher_.add(data, size_bytes);
  size_bytes_ += static_cast<int64_t>(size_bytes);
  if (buffer_.size() + size_bytes > kBufferBytes) flush();
  buffer_.append(static_cast<const char*>(data), size_bytes);
}

void DurableStream::flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t written = ::write(descriptor_, buffer_.data() + done, buffer_.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_errno("write", partial_);
    done += static_cast<size_t>(written);
  }
  buffer_.clear();
}

void DurableStream::commit() {
  NX_CHECK(descriptor_ >= 0);
  flush();
  if (::fsync(descriptor_) != 0) throw_errno("fsync", partial_);
  rename_durably(partial_, path_);
  // The data is on disk already, so an error of close has nothing left to lose.
  ::close(std::exchange(descriptor_, -1));
}

}  // namespace nexus
