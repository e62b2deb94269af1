#include "checkpoint/raw_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <vector>

#include "checkpoint/strict_json.h"
#include "core/error.h"
#include "core/hash.h"

namespace nexus {

RawFile::RawFile(const std::string& path) : path_(path), file_(path, O_RDONLY) {
  if (!file_.is_open()) throw_errno("open", path);
  ::posix_fadvise(file_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);  // a hint: reads further ahead
}

int64_t RawFile::size_bytes() const {
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0) throw_errno("stat", path_);
  return info.st_size;
}

int64_t RawFile::read_at(int64_t position, void* target, int64_t size_bytes) const {
  int64_t got = 0;
  while (got < size_bytes) {
    const ssize_t n =
        ::pread(file_.get(), static_cast<char*>(target) + got, static_cast<size_t>(size_bytes - got), position + got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("read", path_);
    if (n == 0) break;
    got += n;
  }
  return got;
}

std::string RawFile::digest(int64_t size_bytes) const {
  Hasher hasher;
  std::vector<char> block(kReadBlockBytes);
  for (int64_t done = 0; done < size_bytes;) {
    const int64_t got = read_at(done, block.data(), std::min(kReadBlockBytes, size_bytes - done));
    if (got == 0 && this->size_bytes() < size_bytes) throw_damaged("the file has become shorter", path_);
    if (got == 0)
      throw Error(ErrorKind::kIo, fmt::format("cannot read: the file ends at byte {} of {}", done, size_bytes), path_,
                  "check the disk or network file system, then run the same command again");
    hasher.add(block.data(), static_cast<size_t>(got));
    done += got;
  }
  return hasher.digest();
}

std::filesystem::file_status require_status(const std::string& path) {
  std::error_code code;
  const std::filesystem::file_status status = std::filesystem::symlink_status(path, code);
  if (status.type() == std::filesystem::file_type::not_found || !code) return status;
  throw Error(ErrorKind::kIo, "cannot stat: " + code.message(), path, "check the path and its permissions");
}

}  // namespace nexus
