#include "data/input_file.h"

#include <sys/mman.h>
#include <sys/stat.h>

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

// O_NONBLOCK: opening a FIFO must not wait for a writer. It means nothing for regular files.
InputFile::InputFile(const std::string& path) : path_(path), file_(path, O_RDONLY | O_NONBLOCK) {
  if (!file_.is_open() && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
    throw Error(ErrorKind::kData, fmt::format("cannot open the file: {}", std::strerror(errno)), path,
                "check the name and its permissions");
  if (!file_.is_open()) throw_errno("open", path);
  struct stat info {};
  const bool known = ::fstat(file_.get(), &info) == 0;
  if (!known || !S_ISREG(info.st_mode))
    throw Error(ErrorKind::kData, "not a regular file", path,
                "name a regular file; a pipe does not serve, as files are read more than once");
  size_bytes_ = info.st_size;
}

size_t InputFile::read(void* buffer, size_t size) {
  const ssize_t got = file_.read(buffer, size);
  if (got < 0) throw_errno("read", path_);
  return static_cast<size_t>(got);
}

void InputFile::rewind() {
  if (::lseek(file_.get(), 0, SEEK_SET) != 0) throw_errno("seek in", path_);
}

FileStamp InputFile::stamp() const {
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0) throw_errno("stat", path_);
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
