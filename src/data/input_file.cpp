#include "data/input_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "data/bus_error.h"

namespace nexus {
namespace {

int64_t nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

std::string FileStamp::str() const {
  return fmt::format("{} {} {} {}", size_bytes, mtime_ns, ctime_ns, inode);
}

InputFile::InputFile(const std::string& path) : path_(path) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer. It means nothing for regular files.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
    throw Error(ErrorKind::kData, fmt::format("cannot open the file: {}", std::strerror(errno)), path,
                "check the name and its permissions");
  if (descriptor_ < 0) throw_errno("open", path);
  struct stat info {};
  const bool known = ::fstat(descriptor_, &info) == 0;
  if (!known || !S_ISREG(info.st_mode)) {
    ::close(std::exchange(descriptor_, -1));
    throw Error(ErrorKind::kData, "not a regular file", path,
                "name a regular file; a pipe does not serve, as files are read more than once");
  }
  size_bytes_ = info.st_size;
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

size_t InputFile::read(void* buffer, size_t size) {
  for (;;) {
    const ssize_t got = ::read(descriptor_, buffer, size);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) throw_errno("read", path_);
  }
}

void InputFile::rewind() {
  if (::lseek(descriptor_, 0, SEEK_SET) != 0) throw_errno("seek in", path_);
}

FileStamp InputFile::stamp() const {
  struct stat info {};
  if (::fstat(descriptor_, &info) != 0) throw_errno("stat", path_);
  return {info.st_size, nanoseconds(info.st_mtim), nanoseconds(info.st_ctim), static_cast<int64_t>(info.st_ino)};
}

MappedFile::MappedFile(const std::string& path) {
  const InputFile file(path);
  stamp_ = file.stamp();
  if (file.size_bytes() == 0) return;
  const auto size = static_cast<size_t>(file.size_bytes());
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.descriptor(), 0);
  if (data == MAP_FAILED) throw_errno("map", path);
  data_ = data;
  size_bytes_ = size;
  watch_mapping(data_, size_bytes_, path);
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  unwatch_mapping(data_);
  ::munmap(data_, size_bytes_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : stamp_(other.stamp_),
      data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

}  // namespace nexus
