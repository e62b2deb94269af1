// Lines for people and for awk: `HH:MM:SS text` on stdout, warnings on stderr.
//
// Only one rank speaks (set_log_rank); a run may add a log file. Thread-safe.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

namespace nexus {

// Rank 0 prints; other ranks print warnings only, prefixed with their rank.
void set_log_rank(int rank);
int log_rank();

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

}  // namespace nexus
