#include "data/bus_error.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "core/exit_code.h"

namespace nexus {
namespace {

// What the handler reads must lie ready: it may neither lock nor allocate. A slot is taken while `begin` is set, which
// is set last and cleared first.
struct Mapping {
  std::atomic<const char*> begin{nullptr};
  size_t size_bytes = 0;
  std::array<char, 4608> message{};  // of the whole line
};
std::array<Mapping, 256> mappings;  // further ones are not watched
std::mutex mappings_mutex;
struct sigaction handler_before;

void on_bus_error(int, siginfo_t* info, void*) {
  const auto* address = static_cast<const char*>(info->si_addr);
  for (const Mapping& mapping : mappings) {
    const char* begin = mapping.begin;
    if (begin == nullptr || address < begin || address >= begin + mapping.size_bytes) continue;
    const ssize_t ignored = ::write(STDERR_FILENO, mapping.message.data(), std::strlen(mapping.message.data()));
    static_cast<void>(ignored);
    ::_exit(to_int(ExitCode::kTransient));
  }
  ::sigaction(SIGBUS, &handler_before, nullptr);  // the instruction is done again, and meets that one
}

void install_handler() {
  static const bool done = [] {
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    return ::sigaction(SIGBUS, &action, &handler_before) == 0;
  }();
  static_cast<void>(done);
}

}  // namespace

void watch_mapping(const void* data, size_t size_bytes, const std::string& path) {
  const std::lock_guard lock(mappings_mutex);
  install_handler();
  for (Mapping& mapping : mappings) {
    if (mapping.begin != nullptr) continue;
    mapping.size_bytes = size_bytes;
    std::snprintf(
        mapping.message.data(), mapping.message.size(),
        "nexus: error: cannot read: the disk failed, or the file was cut short while it was in use; %s; check "
        "the file (`nexus data verify`) and the disk, then run the same command again\n",
        path.c_str());
    mapping.begin = static_cast<const char*>(data);
    return;
  }
}

void unwatch_mapping(const void* data) {
  const std::lock_guard lock(mappings_mutex);
  for (Mapping& mapping : mappings)
    if (mapping.begin == data) mapping.begin = nullptr;
}

}  // namespace nexus
