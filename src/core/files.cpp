#include "core/files.h"

#include <sys/stat.h>

#include <filesystem>

#include "core/error.h"
#include "core/file_descriptor.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;

// A descriptor whose failures are errors that name the path.
class File {
 public:
  File(const std::string& path, int flags) : path_(path), fd_(path, flags) {
    if (!fd_.is_open()) throw_errno("open", path);
  }
  int fd() const { return fd_.get(); }
  size_t read(char* buffer, size_t size) const {
    const ssize_t got = fd_.read(buffer, size);
    if (got < 0) throw_errno("read", path_);
    return static_cast<size_t>(got);
  }
  void write_all(std::string_view bytes) const {
    if (!fd_.write_all(bytes.data(), bytes.size())) throw_errno("write", path_);
  }
  void sync() const {
    if (::fsync(fd()) != 0) throw_errno("fsync", path_);
  }
  void close() {
    if (!fd_.close()) throw_errno("close", path_);
  }

 private:
  std::string path_;
  FileDescriptor fd_;
};

std::string parent_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace

std::string read_text_file(const std::string& path, int64_t max_bytes) {
  File file(path, O_RDONLY | O_NONBLOCK);
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) throw_errno("stat", path);
  if (!S_ISREG(info.st_mode)) throw Error(ErrorKind::kData, "not a regular file", path, "name a regular file");
  if (info.st_size > max_bytes)
    throw Error(ErrorKind::kData, fmt::format("{} bytes is larger than the limit of {}", info.st_size, max_bytes), path,
                "check that this is the file you meant");
  // To the end, whatever the size was said to be: files of /proc say 0.
  std::string text(static_cast<size_t>(info.st_size) + 1, '\0');
  size_t got = 0;
  while (true) {
    if (got == text.size()) text.resize(2 * got + 4096);
    const size_t more = file.read(text.data() + got, text.size() - got);
    if (more == 0) break;
    got += more;
    if (got > static_cast<size_t>(max_bytes))
      throw Error(ErrorKind::kData, fmt::format("it is larger than the limit of {} bytes", max_bytes), path,
                  "check that this is the file you meant");
  }
  text.resize(got);
  return text;
}

void write_file_durably(const std::string& path, std::string_view content) {
  const std::string temporary = fmt::format("{}.tmp.{}", path, ::getpid());
  try {
    File file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    file.write_all(content);
    file.sync();
    file.close();
    if (::rename(temporary.c_str(), path.c_str()) != 0) throw_errno("rename", path);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  fsync_path(parent_of(path));
}

void replace_file(const std::string& path, std::string_view content) {
  const std::string temporary = path + ".tmp";
  File file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
  file.write_all(content);
  file.close();
  if (::rename(temporary.c_str(), path.c_str()) != 0) throw_errno("rename", path);
}

void append_line(const std::string& path, std::string_view line, bool durable) {
  File file(path, O_WRONLY | O_CREAT | O_APPEND);
  file.write_all(std::string(line) + "\n");
  if (durable) file.sync();
  file.close();
}

void end_torn_line(const std::string& path) {
  if (!path_exists(path)) return;
  File file(path, O_RDWR | O_APPEND);
  const off_t size = ::lseek(file.fd(), 0, SEEK_END);
  char last = '\n';
  if (size > 0 && ::pread(file.fd(), &last, 1, size - 1) != 1) throw_errno("read", path);
  if (last != '\n') file.write_all("\n");
  file.close();
}

void fsync_path(const std::string& path) {
  File file(path, O_RDONLY);
  file.sync();
}

void make_folders(const std::string& path) {
  std::error_code code;
  fs::create_directories(path, code);
  if (code && !fs::is_directory(path)) {
    errno = code.value();
    throw_errno("create folder", path);
  }
}

bool path_exists(const std::string& path) {
  std::error_code code;
  const bool exists = fs::exists(path, code);
  if (!exists && code) {
    errno = code.value();
    throw_errno("look for", path);
  }
  return exists;
}

bool seems_to_exist(const std::string& path) noexcept {
  return ::access(path.c_str(), F_OK) == 0;
}

void rename_durably(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw_errno("rename", from);
  fsync_path(parent_of(to));
  if (parent_of(from) != parent_of(to)) fsync_path(parent_of(from));
}

}  // namespace nexus
