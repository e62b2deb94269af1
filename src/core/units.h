// Numbers as people write them: 240M, 1Mi, 30min, 1%, and back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nexus {

inline constexpr double kSecondsPerHour = 3600;

// "512", "1.5M", "1Mi", "100B", "1e6" -> integer; K M B T are powers of ten, Ki Mi Gi Ti powers of two. Nothing where
// the text is no such number, is not whole, is negative, or exceeds 2^62.
std::optional<int64_t> parse_count(std::string_view text);

// "90" (seconds), "30s", "30min", "2h", "1d", "24:00:00", "01:30" (minutes:seconds) -> seconds.
std::optional<double> parse_duration(std::string_view text);

// 239.5M, 1.07B, 512 ...: three or four significant digits, powers of ten.
std::string format_count(int64_t value);
// "0:06:49", "2d 03:00:00"
std::string format_seconds(double seconds);
// "5.28 GB" (powers of ten), for checkpoints and files.
std::string format_bytes(int64_t bytes);

// The closest of `candidates` (Levenshtein distance at most 3 and under half its length); empty if none is close.
// Used by every "did you mean".
template <typename Range>
std::string nearest(std::string_view word, const Range& candidates);

int edit_distance(std::string_view a, std::string_view b);

template <typename Range>
std::string nearest(std::string_view word, const Range& candidates) {
  std::string best;
  int best_distance = 4;
  for (const auto& candidate : candidates) {
    const std::string_view view(candidate);
    const int distance = edit_distance(word, view);
    if (distance < best_distance && distance * 2 <= static_cast<int>(view.size())) {
      best = std::string(view);
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace nexus
