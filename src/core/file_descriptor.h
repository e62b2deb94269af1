// The owner of a descriptor: of a file, a folder, a pipe or a socket. What a failure means is the caller's to say
// (throw_errno of core/error.h, or a finding): nothing here throws, and errno stands as the system left it.
#pragma once

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <string>
#include <utility>

namespace nexus {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}  // takes it over; negative: none
  // Opens a file, never for programs that are started later (O_CLOEXEC).
  FileDescriptor(const std::string& path, int flags, mode_t mode = 0644)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~FileDescriptor() { close(); }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  bool is_open() const { return fd_ >= 0; }
  int get() const { return fd_; }

  // False where closing says that something written before is lost.
  bool close() {
    const int fd = std::exchange(fd_, -1);
    return fd < 0 || ::close(fd) == 0;
  }

  // Up to `size` bytes at the current position: how many came, 0 at the end, -1 with errno. Not ended by a signal.
  ssize_t read(void* buffer, size_t size) const {
    ssize_t got = 0;
    do got = ::read(fd_, buffer, size);
    while (got < 0 && errno == EINTR);
    return got;
  }

  // All bytes, however many calls that takes; false with errno.
  bool write_all(const void* data, size_t size) const {
    for (const char* from = static_cast<const char*>(data); size > 0;) {
      const ssize_t done = ::write(fd_, from, size);
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return false;
      from += done;
      size -= static_cast<size_t>(done);
    }
    return true;
  }

 private:
  int fd_ = -1;
};

}  // namespace nexus
