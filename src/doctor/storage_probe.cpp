// What a file system does when it is asked, and how long it takes.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/files.h"
#include "doctor/storage.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr size_t kBlock = 1 << 20;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class File {
 public:
  File(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }

 private:
  int fd_;
};

// A folder of our own, gone with everything in it at the end.
class Scratch {
 public:
  explicit Scratch(const std::string& parent) : path_(parent + "/.nexus-doctor-XXXXXX") {
    made_ = ::mkdtemp(path_.data()) != nullptr;
  }
  ~Scratch() {
    std::error_code ignored;
    if (made_) fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  bool made() const { return made_; }
  std::string operator/(const char* name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  bool made_ = false;
};

// What the last call says of itself.
std::string reason() {
  return std::strerror(errno);
}

bool write_small(const std::string& path, const char* text) {
  const File file(path, O_WRONLY | O_CREAT | O_TRUNC);
  return file.open() && ::write(file.get(), text, std::strlen(text)) == static_cast<ssize_t>(std::strlen(text));
}

// --- abilities: each returns why not, or nothing

std::string exclusive_creation(const Scratch& scratch) {
  const std::string path = scratch / "exclusive";
  const File first(path, O_WRONLY | O_CREAT | O_EXCL);
  if (!first.open()) return reason();
  const File second(path, O_WRONLY | O_CREAT | O_EXCL);
  if (second.open()) return "two opens both created the file";
  return errno == EEXIST ? "" : reason();
}

std::string locks(const Scratch& scratch) {
  const std::string path = scratch / "lock";
  const File first(path, O_RDWR | O_CREAT), second(path, O_RDWR);
  if (!first.open() || !second.open() || ::flock(first.get(), LOCK_EX | LOCK_NB) != 0) return reason();
  if (::flock(second.get(), LOCK_EX | LOCK_NB) == 0) return "two opens both got the exclusive lock";
  return errno == EWOULDBLOCK ? "" : reason();
}

std::string file_sync(const Scratch& scratch) {
  const File file(scratch / "sync", O_RDWR | O_CREAT);
  return file.open() && ::write(file.get(), "x", 1) == 1 && ::fsync(file.get()) == 0 ? "" : reason();
}

std::string folder_sync(const Scratch& scratch) {
  const File folder(scratch.path(), O_RDONLY | O_DIRECTORY);
  return folder.open() && ::fsync(folder.get()) == 0 ? "" : reason();
}

std::string replacing_rename(const Scratch& scratch) {
  const std::string from = scratch / "new", to = scratch / "old";
  if (!write_small(from, "new") || !write_small(to, "old") || ::rename(from.c_str(), to.c_str()) != 0) return reason();
  if (seems_to_exist(from)) return "the old name is still there";
  return read_text_file(to) == "new" ? "" : "the new name holds the old content";
}

std::string folder_exchange(const Scratch& scratch) {
  const std::string a = scratch / "exchange-a", b = scratch / "exchange-b";
  if (::mkdir(a.c_str(), 0700) != 0 || ::mkdir(b.c_str(), 0700) != 0 || !write_small(a + "/a", "")) return reason();
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) != 0) return reason();
  return seems_to_exist(b + "/a") ? "" : "the folders were not exchanged";
}

std::string hard_link(const Scratch& scratch) {
  const std::string from = scratch / "linked", to = scratch / "link";
  struct stat facts {};
  if (!write_small(from, "x") || ::link(from.c_str(), to.c_str()) != 0 || ::stat(to.c_str(), &facts) != 0)
    return reason();
  return facts.st_nlink == 2 ? "" : "the link count is wrong";
}

std::vector<StorageAbility> try_abilities(const Scratch& scratch) {
  // What commits and locks rest on is needed; an exchange and links have a second way.
  return {{"O_EXCL", exclusive_creation(scratch), true},
          {"flock", locks(scratch), true},
          {"fsync", file_sync(scratch), true},
          {"fsync of folders", folder_sync(scratch), true},
          {"rename", replacing_rename(scratch), true},
          {"RENAME_EXCHANGE", folder_exchange(scratch), false},
          {"link", hard_link(scratch), false}};
}

// --- speed

// Bytes that no file system can compress.
std::vector<uint64_t> noise() {
  std::vector<uint64_t> words(kBlock / sizeof(uint64_t));
  uint64_t state = 0x9E3779B97F4A7C15u;
  for (uint64_t& word : words) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    word = state;
  }
  return words;
}

bool transfer(int fd, void* block, int64_t bytes, ssize_t (*call)(int, void*, size_t)) {
  while (bytes > 0) {
    const ssize_t moved = call(fd, block, static_cast<size_t>(std::min<int64_t>(bytes, kBlock)));
    if (moved < 0 && errno == EINTR) continue;
    if (moved == 0) errno = EIO;  // shorter than what was written
    if (moved <= 0) return false;
    bytes -= moved;
  }
  return true;
}

// One file written, made durable, read back from the disk (as far as the kernel lets go of its cache).
bool measure_round(const std::string& path, int64_t bytes, std::vector<uint64_t>& block, StorageFacts& facts) {
  const File file(path, O_RDWR | O_CREAT | O_TRUNC);
  const Clock::time_point start = Clock::now();
  const auto write_block = [](int fd, void* data, size_t size) { return ::write(fd, data, size); };
  if (!file.open() || !transfer(file.get(), block.data(), bytes, write_block) || ::fsync(file.get()) != 0) return false;
  facts.write_rates.push_back(static_cast<double>(bytes) / seconds_since(start));
  ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return false;
  const Clock::time_point turn = Clock::now();
  std::vector<uint64_t> back(block.size());
  if (!transfer(file.get(), back.data(), bytes, ::read)) return false;
  facts.read_rates.push_back(static_cast<double>(bytes) / seconds_since(turn));
  return true;
}

bool measure_syncs(const std::string& path, const StorageOptions& options, Clock::time_point start,
                   StorageFacts& facts) {
  const File file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (!file.open()) return false;
  const std::string page(4096, 'x');
  for (int round = 0; round < options.fsync_rounds; ++round) {
    if (round > 0 && seconds_since(start) > options.most_seconds) break;
    const Clock::time_point begin = Clock::now();
    if (::write(file.get(), page.data(), page.size()) != static_cast<ssize_t>(page.size())) return false;
    if (::fsync(file.get()) != 0) return false;
    facts.fsync_seconds.push_back(seconds_since(begin));
  }
  return true;
}

bool measure_speed(const Scratch& scratch, const StorageOptions& options, StorageFacts& facts) {
  const Clock::time_point start = Clock::now();
  if (!measure_syncs(scratch / "small", options, start, facts)) return false;
  std::vector<uint64_t> block = noise();
  for (int round = 0; round < options.rounds; ++round) {
    if (round > 0 && seconds_since(start) > options.most_seconds) break;
    if (!measure_round(scratch / "large", options.file_bytes, block, facts)) return false;
  }
  return true;
}

void look_at_room(StorageFacts& facts) {
  struct statvfs room {};
  if (::statvfs(facts.folder.c_str(), &room) != 0) return;
  facts.free_bytes = static_cast<int64_t>(room.f_bavail) * static_cast<int64_t>(room.f_frsize);
  if (room.f_files > 0) facts.free_files = static_cast<int64_t>(room.f_favail);
}

std::optional<Mount> mount_below(const std::string& folder) {
  std::ostringstream text;  // not read_text_file: /proc's files say that they are empty
  text << std::ifstream("/proc/self/mountinfo").rdbuf();
  return mount_of(parse_mountinfo(text.str()), folder);
}

}  // namespace

std::string nearest_folder(const std::string& folder) {
  std::error_code ignored;
  fs::path path = fs::absolute(folder, ignored);
  while (!fs::is_directory(path, ignored) && path.has_relative_path()) path = path.parent_path();
  const fs::path real = fs::canonical(path, ignored);
  return real.empty() ? path.string() : real.string();
}

StorageFacts probe_storage(const StorageOptions& options) {
  StorageFacts facts;
  facts.folder = nearest_folder(options.folder);
  facts.mount = mount_below(facts.folder);
  look_at_room(facts);
  const Scratch scratch(facts.folder);
  if (!scratch.made()) {
    facts.error = errno;
    facts.failed = "create a folder";
    return facts;
  }
  facts.abilities = try_abilities(scratch);
  if (!measure_speed(scratch, options, facts)) {
    facts.error = errno;
    facts.failed = "write, fsync and read back";
  }
  return facts;
}

}  // namespace nexus
