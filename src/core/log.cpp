#include "core/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>

#include "core/error.h"
#include "core/standard_streams.h"
#include "core/units.h"

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

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

void set_log_rank(int rank) {
  sinks().rank = rank;
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

Progress::Progress(std::string label, int64_t total, std::string unit, double interval_seconds)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      interval_seconds_(interval_seconds),
      start_seconds_(now_seconds()),
      last_seconds_(start_seconds_),
      terminal_(isatty(STDERR_FILENO) == 1 && std::getenv("NO_PROGRESS") == nullptr) {}

Progress::~Progress() {
  finish();
}

void Progress::update(int64_t done) {
  done_ = done;
  const double now = now_seconds();
  if (now - last_seconds_ < (terminal_ ? 0.1 : interval_seconds_)) return;
  last_seconds_ = now;
  draw(now, false);
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (terminal_ || now_seconds() - start_seconds_ >= interval_seconds_) draw(now_seconds(), true);
}

void Progress::draw(double now, bool last) {
  if (sinks().rank != 0) return;
  const double elapsed = std::max(now - start_seconds_, 1e-9);
  const double rate = static_cast<double>(done_) / elapsed;
  std::string text = fmt::format("{} {} {}", label_, format_count(done_), unit_);
  if (total_ > 0) {
    const double share = std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0);
    const double left = rate > 0 ? static_cast<double>(std::max<int64_t>(total_ - done_, 0)) / rate : 0.0;
    text = fmt::format("{} {:3.0f} % of {} {}", label_, share * 100, format_count(total_), unit_);
    if (terminal_) {
      const int width = 24, full = static_cast<int>(share * width);
      text += " [" + std::string(full, '#') + std::string(width - full, '.') + "]";
    }
    if (!last) text += " | eta " + format_seconds(left);
  }
  text += fmt::format(" | {} {}/s", format_count(static_cast<int64_t>(rate)), unit_);
  if (!terminal_) return log_text(text);
  std::fprintf(stderr, "\r\033[K%s%s", text.c_str(), last ? "\n" : "");
  std::fflush(stderr);
}

}  // namespace nexus
