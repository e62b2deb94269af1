#include "core/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

namespace nexus {
namespace {

struct Suffix {
  std::string_view name;
  double factor;
};

constexpr std::array<Suffix, 8> kCountSuffixes{{{"K", 1e3},
                                                {"M", 1e6},
                                                {"B", 1e9},
                                                {"T", 1e12},
                                                {"Ki", 1024.0},
                                                {"Mi", 1048576.0},
                                                {"Gi", 1073741824.0},
                                                {"Ti", 1099511627776.0}}};
constexpr std::array<Suffix, 7> kDurationSuffixes{
    {{"ms", 1e-3}, {"s", 1.0}, {"m", 60.0}, {"min", 60.0}, {"h", 3600.0}, {"d", 86400.0}, {"day", 86400.0}}};

// Splits "1.5Mi" into number and suffix; nothing if there is no leading finite number.
std::optional<std::pair<double, std::string_view>> split_number(std::string_view text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || !std::isfinite(value)) return std::nullopt;
  return std::pair(value, std::string_view(end, static_cast<size_t>(text.data() + text.size() - end)));
}

template <size_t N>
std::optional<double> suffix_factor(std::string_view suffix, const std::array<Suffix, N>& table) {
  if (suffix.empty()) return 1.0;
  for (const Suffix& entry : table)
    if (entry.name == suffix) return entry.factor;
  return std::nullopt;
}

// "H:MM:SS" or "MM:SS" -> seconds.
std::optional<double> parse_clock(std::string_view text) {
  double seconds = 0;
  int fields = 0;
  while (true) {
    const size_t colon = text.find(':');
    const std::string_view field = text.substr(0, colon);
    int64_t value = 0;
    const auto [end, code] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (code != std::errc() || end != field.data() + field.size() || value < 0 || ++fields > 3) return std::nullopt;
    seconds = seconds * 60 + static_cast<double>(value);
    if (colon == std::string_view::npos) return seconds;
    text.remove_prefix(colon + 1);
  }
}

}  // namespace

std::optional<int64_t> parse_count(std::string_view text) {
  constexpr int64_t kLargest = int64_t{1} << 62;
  int64_t integer = 0;  // read as such first: f64 would lose digits above 2^53
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), integer);
  if (code == std::errc() && end == text.data() + text.size())
    return integer >= 0 && integer <= kLargest ? std::optional(integer) : std::nullopt;
  const auto parts = split_number(text);
  if (!parts) return std::nullopt;
  const auto factor = suffix_factor(parts->second, kCountSuffixes);
  if (!factor) return std::nullopt;
  const double value = parts->first * *factor;
  const double whole = std::nearbyint(value);
  // 0.1B is not exact in binary: accept what is whole to a few roundings of f64.
  if (!(value >= 0 && value <= static_cast<double>(kLargest)) || std::abs(value - whole) > 1e-15 * value)
    return std::nullopt;
  return static_cast<int64_t>(whole);
}

std::optional<double> parse_duration(std::string_view text) {
  if (text.find(':') != std::string_view::npos) return parse_clock(text);
  const auto parts = split_number(text);
  if (!parts || parts->first < 0) return std::nullopt;
  const auto factor = suffix_factor(parts->second, kDurationSuffixes);
  if (!factor || !std::isfinite(parts->first * *factor)) return std::nullopt;
  return parts->first * *factor;
}

std::string format_count(int64_t value) {
  const double magnitude = std::abs(static_cast<double>(value));
  constexpr std::array<Suffix, 4> units{{{"T", 1e12}, {"B", 1e9}, {"M", 1e6}, {"k", 1e3}}};
  for (const Suffix& unit : units) {
    if (magnitude < unit.factor * 0.99995) continue;  // 999.95k and more would print as 1000.0k
    const double scaled = static_cast<double>(value) / unit.factor;
    return fmt::format("{:.{}f}{}", scaled, std::abs(scaled) < 10 ? 2 : 1, unit.name);
  }
  return fmt::format("{}", value);
}

std::string format_seconds(double seconds) {
  const auto total = static_cast<int64_t>(std::llround(std::max(seconds, 0.0)));
  const int64_t days = total / 86400, hours = total / 3600 % 24, minutes = total / 60 % 60;
  if (days > 0) return fmt::format("{}d {:02}:{:02}:{:02}", days, hours, minutes, total % 60);
  return fmt::format("{}:{:02}:{:02}", hours, minutes, total % 60);
}

std::string format_bytes(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (value >= 1e9) return fmt::format("{:.2f} GB", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.1f} MB", value / 1e6);
  if (value >= 1e3) return fmt::format("{:.1f} kB", value / 1e3);
  return fmt::format("{} B", bytes);
}

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<int> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace nexus
