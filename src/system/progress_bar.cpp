#include "system/progress_bar.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "core/log.h"
#include "core/units.h"
#include "system/clock.h"
#include "system/environment.h"
#include "system/terminal.h"

namespace nexus {

Progress::Progress(std::string label, int64_t total, std::string unit, double interval_seconds)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      interval_seconds_(interval_seconds),
      start_seconds_(steady_seconds()),
      last_seconds_(start_seconds_),
      terminal_(is_terminal(STDERR_FILENO) && !find_environment("NO_PROGRESS")) {}

Progress::~Progress() {
  finish();
}

void Progress::update(int64_t done) {
  done_ = done;
  const double now = steady_seconds();
  if (now - last_seconds_ < (terminal_ ? 0.1 : interval_seconds_)) return;
  last_seconds_ = now;
  draw(now, false);
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (terminal_ || steady_seconds() - start_seconds_ >= interval_seconds_) draw(steady_seconds(), true);
}

void Progress::draw(double now, bool last) {
  if (log_rank() != 0) return;
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
