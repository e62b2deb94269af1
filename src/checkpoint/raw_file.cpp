#include "checkpoint/raw_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/error.h"

namespace nexus {

RawFile::RawFile(const std::string& path) : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (fd_ < 0) throw_errno("open", path);
  ::posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL);  // a hint: reads further ahead
}

RawFile::~RawFile() {
  if (fd_ >= 0) ::close(fd_);
}

RawFile::RawFile(RawFile&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

RawFile& RawFile::operator=(RawFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  return *this;
}

int64_t RawFile::size_bytes() const {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) throw_errno("stat", path_);
  return info.st_size;
}

int64_t RawFile::read_at(int64_t position, void* target, int64_t size_bytes) const {
  int64_t got = 0;
  while (got < size_bytes) {
    const ssize_t n =
        ::pread(fd_, static_cast<char*>(target) + got, static_cast<size_t>(size_bytes - got), position + got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("read", path_);
    if (n == 0) break;
    got += n;
  }
  return got;
}

}  // namespace nexus
