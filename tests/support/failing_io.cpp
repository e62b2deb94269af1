// System calls on chosen files fail as disks and network file systems do: linked into a test program, or loaded before
// everything else with LD_PRELOAD. For tests only.
//
// NEXUS_FAIL_IO="CALLS:ERRNO:FIRST:COUNT:RANK:PATH" makes the calls of those kinds ("pread+open") on paths that contain
// PATH fail with ERRNO, from the FIRST-th on (from 0), COUNT times (-1: for ever), on that rank of the job (-1: on
// all). ERRNO 0 makes pread and read say that the file ends. Another value of the variable counts afresh.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace {

struct Plan {
  char text[512] = "", calls[64] = "", path[256] = "";
  int code = 0, rank = -1;
  long first = 0, count = 0, seen = 0;
};

int own_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK"})
    if (const char* text = std::getenv(name)) return std::atoi(text);
  return 0;
}

// Whether this call fails; errno is set then.
bool fails(const char* call, const char* path) {
  static Plan plan;
  static std::mutex mutex;
  const char* text = std::getenv("NEXUS_FAIL_IO");
  if (text == nullptr || *text == '\0') return false;
  const std::lock_guard lock(mutex);
  if (std::strcmp(text, plan.text) != 0) {
    plan = {};
    std::snprintf(plan.text, sizeof plan.text, "%s", text);
    if (std::sscanf(text, "%63[^:]:%d:%ld:%ld:%d:%255s", plan.calls, &plan.code, &plan.first, &plan.count, &plan.rank,
                    plan.path) != 6)
      plan.count = 0;
  }
  bool named = false;
  const size_t length = std::strlen(call);
  for (const char* at = plan.calls; (at = std::strstr(at, call)) != nullptr; at += length)
    named = named || ((at == plan.calls || at[-1] == '+') && (at[length] == '\0' || at[length] == '+'));
  if (!named || std::strstr(path, plan.path) == nullptr) return false;
  if (plan.rank >= 0 && plan.rank != own_rank()) return false;
  const long number = plan.seen++;
  if (number < plan.first || (plan.count >= 0 && number >= plan.first + plan.count)) return false;
  errno = plan.code;
  return true;
}

bool fails(const char* call, int fd) {
  char link[64], path[1024];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = ::readlink(link, path, sizeof path - 1);
  if (length <= 0) return false;
  path[length] = '\0';
  return fails(call, path);
}

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

// 0 for "the file ends".
ssize_t failure() {
  return errno == 0 ? 0 : -1;
}

}  // namespace

extern "C" {

ssize_t pread(int fd, void* buffer, size_t size, off_t offset) {
  static auto* const next = real<ssize_t(int, void*, size_t, off_t)>("pread");
  return fails("pread", fd) ? failure() : next(fd, buffer, size, offset);
}

ssize_t pread64(int fd, void* buffer, size_t size, off64_t offset) {
  static auto* const next = real<ssize_t(int, void*, size_t, off64_t)>("pread64");
  return fails("pread", fd) ? failure() : next(fd, buffer, size, offset);
}

ssize_t read(int fd, void* buffer, size_t size) {
  static auto* const next = real<ssize_t(int, void*, size_t)>("read");
  return fails("read", fd) ? failure() : next(fd, buffer, size);
}

int open(const char* path, int flags, ...) {
  static auto* const next = real<int(const char*, int, ...)>("open");
  va_list arguments;
  va_start(arguments, flags);
  const int mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, int) : 0;
  va_end(arguments);
  return fails("open", path) ? -1 : next(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  static auto* const next = real<int(const char*, int, ...)>("open64");
  va_list arguments;
  va_start(arguments, flags);
  const int mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, int) : 0;
  va_end(arguments);
  return fails("open", path) ? -1 : next(path, flags, mode);
}

int stat(const char* path, struct stat* info) {
  static auto* const next = real<int(const char*, struct stat*)>("stat");
  return fails("stat", path) ? -1 : next(path, info);
}

int lstat(const char* path, struct stat* info) {
  static auto* const next = real<int(const char*, struct stat*)>("lstat");
  return fails("stat", path) ? -1 : next(path, info);
}

int fstat(int fd, struct stat* info) {
  static auto* const next = real<int(int, struct stat*)>("fstat");
  return fails("fstat", fd) ? -1 : next(fd, info);
}

struct dirent* readdir(DIR* folder) {
  static auto* const next = real<struct dirent*(DIR*)>("readdir");
  return fails("readdir", ::dirfd(folder)) ? nullptr : next(folder);
}

int rename(const char* from, const char* to) {
  static auto* const next = real<int(const char*, const char*)>("rename");
  return fails("rename", from) ? -1 : next(from, to);
}

}  // extern "C"
