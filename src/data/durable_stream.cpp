#include "data/durable_stream.h"

#include <sys/file.h>
#include <sys/stat.h>

#include "core/error.h"
#include "core/files.h"

namespace nexus {
namespace {

constexpr size_t kBufferBytes = 1 << 16;

}  // namespace

DurableStream::DurableStream(const std::string& path)
    : path_(path), partial_(path + ".partial"), file_(partial_, O_RDWR | O_CREAT | O_NOFOLLOW) {
  if (!file_.is_open()) throw_errno("create", partial_);
  lock_or_throw();
  if (::ftruncate(file_.get(), 0) != 0) throw_errno("truncate", partial_);
  buffer_.reserve(kBufferBytes);
}

DurableStream::~DurableStream() {
  if (file_.is_open()) ::unlink(partial_.c_str());
}

void DurableStream::lock_or_throw() {
  const bool busy = ::flock(file_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  // Between our open and our lock the other writer may have finished: then this descriptor is its finished file.
  struct stat ours {
  }, named{};
  const bool same = ::fstat(file_.get(), &ours) == 0 && ::stat(partial_.c_str(), &named) == 0 &&
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
  if (!file_.write_all(buffer_.data(), buffer_.size())) throw_errno("write", partial_);
  buffer_.clear();
}

void DurableStream::commit() {
  NX_CHECK(file_.is_open());
  flush();
  if (::fsync(file_.get()) != 0) throw_errno("fsync", partial_);
  rename_durably(partial_, path_);
  // The data is on disk already, so an error of close has nothing left to lose.
  file_.close();
}

}  // namespace nexus
