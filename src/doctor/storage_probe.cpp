// What a file system does when it is asked, and how long it takes.
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/file_descriptor.h"
#include "core/files.h"
#include "doctor/storage.h"
#include "system/clock.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kBlock = 1 << 20;

using File = FileDescriptor;

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
  return file.is_open() && file.write_all(text, std::strlen(text));
}

// --- abilities: each returns why not, or nothing

std::string exclusive_creation(const Scratch& scratch) {
  const std::string path = scratch / "exclusive";
  const File first(path, O_WRONLY | O_CREAT | O_EXCL);
  if (!first.is_open()) return reason();
  const File second(path, O_WRONLY | O_CREAT | O_EXCL);
  if (second.is_open()) return "two opens both created the file";
  return errno == EEXIST ? "" : reason();
}

std::string locks(const Scratch& scratch) {
  const std::string path = scratch / "lock";
  const File first(path, O_RDWR | O_CREAT), second(path, O_RDWR);
  if (!first.is_open() || !second.is_open() || ::flock(first.get(), LOCK_EX | LOCK_NB) != 0) return reason();
  if (::flock(second.get(), LOCK_EX | LOCK_NB) == 0) return "two opens both got the exclusive lock";
  return errno == EWOULDBLOCK ? "" : reason();
}

std::string file_sync(const Scratch& scratch) {
  const File file(scratch / "sync", O_RDWR | O_CREAT);
  return file.is_open() && file.write_all("x", 1) && ::fsync(file.get()) == 0 ? "" : reason();
}

std::string folder_sync(const Scratch& scratch) {
  const File folder(scratch.path(), O_RDONLY | O_DIRECTORY);
  return folder.is_open() && ::fsync(folder.get()) == 0 ? "" : reason();
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

bool write_blocks(const File& file, const void* block, int64_t bytes) {
  for (; bytes > 0; bytes -= kBlock)
    if (!file.write_all(block, static_cast<size_t>(std::min(bytes, kBlock)))) return false;
  return true;
}

bool read_blocks(const File& file, void* block, int64_t bytes) {
  while (bytes > 0) {
    const ssize_t got = file.read(block, static_cast<size_t>(std::min(bytes, kBlock)));
    if (got == 0) errno = EIO;  // shorter than what was written
    if (got <= 0) return false;
    bytes -= got;
  }
  return true;
}

// One file written, made durable, read back from the disk (as far as the kernel lets go of its cache).
bool measure_round(const std::string& path, int64_t bytes, std::vector<uint64_t>& block, StorageFacts& facts) {
  const File file(path, O_RDWR | O_CREAT | O_TRUNC);
  const double start = steady_seconds();
  if (!file.is_open() || !write_blocks(file, block.data(), bytes) || ::fsync(file.get()) != 0) return false;
  facts.write_rates.push_back(static_cast<double>(bytes) / (steady_seconds() - start));
  ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return false;
  const double turn = steady_seconds();
  std::vector<uint64_t> back(block.size());
  if (!read_blocks(file, back.data(), bytes)) return false;
  facts.read_rates.push_back(static_cast<double>(bytes) / (steady_seconds() - turn));
  return true;
}

bool measure_syncs(const std::string& path, const StorageOptions& options, double start, StorageFacts& facts) {
  const File file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (!file.is_open()) return false;
  const std::string page(4096, 'x');
  for (int round = 0; round < options.fsync_rounds; ++round) {
    if (round > 0 && steady_seconds() - start > options.most_seconds) break;
    const double begin = steady_seconds();
    if (!file.write_all(page.data(), page.size()) || ::fsync(file.get()) != 0) return false;
    facts.fsync_seconds.push_back(steady_seconds() - begin);
  }
  return true;
}

bool measure_speed(const Scratch& scratch, const StorageOptions& options, StorageFacts& facts) {
  const double start = steady_seconds();
  if (!measure_syncs(scratch / "small", options, start, facts)) return false;
  std::vector<uint64_t> block = noise();
  for (int round = 0; round < options.rounds; ++round) {
    if (round > 0 && steady_seconds() - start > options.most_seconds) break;
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
  const std::string mounts = "/proc/self/mountinfo";
  if (!seems_to_exist(mounts)) return std::nullopt;
  return mount_of(parse_mountinfo(read_text_file(mounts)), folder);
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
