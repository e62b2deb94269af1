// Read-only regular files: a descriptor, and a whole file mapped into memory.
//
// FIFOs, devices and folders are refused before anything is read (a FIFO would block for ever). A symbolic link to a
// regular file is followed: staging data through links is common. Errors: ErrorKind::kData.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/file_descriptor.h"

namespace nexus {

// Tells two states of one file apart without reading it: whoever writes to a file, or puts another in its place,
// changes one of these (ctime cannot be set back, as mtime can).
struct FileStamp {
  int64_t size_bytes = 0, mtime_ns = 0, ctime_ns = 0, inode = 0;
  bool operator==(const FileStamp&) const = default;
  std::string str() const;
};

class InputFile {
 public:
  explicit InputFile(const std::string& path);
  // Reads up to `size` bytes at the current position; 0 only at the end of the file.
  size_t read(void* buffer, size_t size);
  // Moves the position back to the first byte.
  void rewind();

  const std::string& path() const { return path_; }
  int64_t size_bytes() const { return size_bytes_; }
  int descriptor() const { return file_.get(); }
  FileStamp stamp() const;  // of this moment

 private:
  std::string path_;
  FileDescriptor file_;
  int64_t size_bytes_ = 0;
};

// The bytes of a file, mapped. A file that another program truncates while it is mapped raises SIGBUS: such files are
// replaced by rename, never rewritten in place, so that a mapping keeps the old content. If it happens all the same, or
// the disk fails, the process ends as data/bus_error.h says.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  std::string_view bytes() const { return {static_cast<const char*>(data_), size_bytes_}; }
  const FileStamp& stamp() const { return stamp_; }  // when it was opened

 private:
  FileStamp stamp_;
  void* data_ = nullptr;  // null when the file is empty
  size_t size_bytes_ = 0;
};

}  // namespace nexus
