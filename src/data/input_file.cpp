#include "data/input_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace nexus {

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

MappedFile::MappedFile(const std::string& path) {
  const InputFile file(path);
  if (file.size_bytes() == 0) return;
  const auto size = static_cast<size_t>(file.size_bytes());
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.descriptor(), 0);
  if (data == MAP_FAILED) throw_errno("map", path);
  data_ = data;
  size_bytes_ = size;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_bytes_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_bytes_(std::exchange(other.size_bytes_, 0)) {}

}  // namespace nexus
