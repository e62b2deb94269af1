// Lines for people and for awk: `HH:MM:SS text` on stdout, warnings on stderr.
//
// Only one rank speaks (set_log_rank); a run may add a log file. `progress` draws a bar on a terminal and plain lines
// elsewhere. Thread-safe.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

namespace nexus {

// Rank 0 prints; other ranks print warnings only, prefixed with their rank.
void set_log_rank(int rank);

// Copies every line also to `path` (append); an empty path ends the copy. Throws ErrorKind::kIo if it cannot be opened.
void set_log_file(const std::string& path);

void log_text(const std::string& text);
void warn_text(const std::string& text);

template <typename... Args>
void log(fmt::format_string<Args...> format, Args&&... args) {
  log_text(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  warn_text(fmt::format(format, std::forward<Args>(args)...));
}

// Log lines: groups joined by " | ", each group "key value key value".
//   LineBuilder("stage s240 step 3 of 9").group("loss {:.4f}", loss).group("lr {:.2e}", lr).str()
class LineBuilder {
 public:
  explicit LineBuilder(std::string first) : text_(std::move(first)) {}
  template <typename... Args>
  LineBuilder& group(fmt::format_string<Args...> format, Args&&... args) {
    text_ += " | " + fmt::format(format, std::forward<Args>(args)...);
    return *this;
  }
  const std::string& str() const { return text_; }

 private:
  std::string text_;
};

// Progress of long work: a bar with the time left on a terminal, a plain line every `interval_seconds` elsewhere.
class Progress {
 public:
  // `unit` names what is counted ("bytes", "tokens", "steps"); total <= 0 means unknown.
  Progress(std::string label, int64_t total, std::string unit, double interval_seconds = 10.0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void update(int64_t done);
  // Ends the bar; called by the destructor otherwise.
  void finish();

 private:
  void draw(double now_seconds, bool last);
  std::string label_, unit_;
  int64_t total_, done_ = 0;
  double interval_seconds_, start_seconds_, last_seconds_;
  bool terminal_, finished_ = false;
};

}  // namespace nexus
