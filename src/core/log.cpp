#include "core/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>

#include "core/error.h"
#include "core/standard_streams.h"

namespace nexus {
namespace {

struct Sinks {
  std::mutex mutex;
  int rank = 0;
  bool output_broken = false;  // and it has been said
  std::shared_ptr<spdlog::logger> out, err, file;
  Sinks() {
    out = std::make_shared<spdlog::logger>("out", std::make_shared<spdlog::sinks::stdout_sink_mt>());
    err = std::make_shared<spdlog::logger>("err", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    out->set_pattern("%H:%M:%S %v");
    err->set_pattern("%H:%M:%S %v");
    out->flush_on(spdlog::level::info);
    err->flush_on(spdlog::level::info);
  }
};

Sinks& sinks() {
  static Sinks instance;
  return instance;
}

// Work goes on where its lines cannot be printed: whoever read them has gone, or a disk is full. `main` answers for it.
void print_line(Sinks& s, const std::string& text) {
  if (!standard_output_wanted()) return;
  errno = 0;
  s.out->info("{}", text);
  if (s.output_broken || std::ferror(stdout) == 0) return;
  s.output_broken = true;
  const std::string warning = fmt::format("warning: standard output cannot be written ({}): the work goes on{}",
                                          std::strerror(errno), s.file ? ", its lines in the log file only" : "");
  s.err->info("{}", warning);
  if (s.file) s.file->info("{}", warning);
}

}  // namespace

void set_log_rank(int rank) {
  sinks().rank = rank;
}

int log_rank() {
  return sinks().rank;
}

void set_log_file(const std::string& path) {
  Sinks& s = sinks();
  std::lock_guard lock(s.mutex);
  s.file.reset();
  if (path.empty()) return;
  try {
    s.file = std::make_shared<spdlog::logger>("file", std::make_shared<spdlog::sinks::basic_file_sink_mt>(path, false));
  } catch (const spdlog::spdlog_ex& error) {
    throw Error(ErrorKind::kIo, error.what(), path, "check the path and its permissions");
  }
  s.file->set_pattern("%Y-%m-%dT%H:%M:%S %v");
  s.file->flush_on(spdlog::level::info);
}

void log_text(const std::string& text) {
  Sinks& s = sinks();
  if (s.rank != 0) return;
  std::lock_guard lock(s.mutex);
  print_line(s, text);
  if (s.file) s.file->info("{}", text);
}

void warn_text(const std::string& text) {
  Sinks& s = sinks();
  const std::string line = s.rank == 0 ? "warning: " + text : fmt::format("warning: rank {}: {}", s.rank, text);
  std::lock_guard lock(s.mutex);
  s.err->info("{}", line);
  if (s.file) s.file->info("{}", line);
}

}  // namespace nexus
