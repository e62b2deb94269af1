#include "workloads/text/text_guard.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "workloads/text/foreign_format.h"

namespace nexus {

std::optional<int64_t> Utf8Checker::feed(std::string_view block) {
  for (size_t i = 0; i < block.size(); ++i) {
    const auto byte = static_cast<uint8_t>(block[i]);
    if (missing_ == 0) {
      if (byte < 0x80) continue;
      lead_ = byte;
      lead_offset_ = offset_ + static_cast<int64_t>(i);
    }
    if (!accept(byte)) return lead_offset_;
  }
  offset_ += static_cast<int64_t>(block.size());
  return std::nullopt;
}

bool Utf8Checker::accept(uint8_t byte) {
  if (missing_ > 0) {
    if (byte < low_ || byte > high_) return false;
    low_ = 0x80, high_ = 0xBF;
    --missing_;
    return true;
  }
  low_ = 0x80, high_ = 0xBF;
  if (byte >= 0xC2 && byte <= 0xDF) {
    missing_ = 1;
  } else if (byte >= 0xE0 && byte <= 0xEF) {
    missing_ = 2;
    if (byte == 0xE0) low_ = 0xA0;   // shorter forms exist
    if (byte == 0xED) high_ = 0x9F;  // surrogates
  } else if (byte >= 0xF0 && byte <= 0xF4) {
    missing_ = 3;
    if (byte == 0xF0) low_ = 0x90;
    if (byte == 0xF4) high_ = 0x8F;  // above U+10FFFF
  }
  return missing_ > 0;
}

TextGuard::TextGuard(std::string path, std::string start) : path_(std::move(path)), start_(std::move(start)) {
  refuse_foreign_format(start_, path_);
}

void TextGuard::feed(std::string_view block) {
  const int64_t begin = utf8_.offset();
  const size_t zero = block.find('\0');
  const std::optional<int64_t> bad = utf8_.feed(block);
  const size_t bad_at = bad ? static_cast<size_t>(std::max<int64_t>(*bad - begin, 0)) : std::string_view::npos;
  if (zero < bad_at)
    refuse(block, zero, fmt::format("byte {} is zero, which no text holds", begin + static_cast<int64_t>(zero)));
  if (bad) refuse(block, bad_at, fmt::format("byte {} of the text is not UTF-8 (0x{:02X})", *bad, utf8_.lead()));
  if (block.empty() && !utf8_.complete()) refuse(block, 0, "the text ends inside a character");
  if (const std::optional<int64_t> at = count_controls(block))
    refuse(
        block, static_cast<size_t>(std::max<int64_t>(*at - begin, 0)),
        fmt::format("the {} bytes from byte {} on hold {} control characters", window_bytes_, *at, window_controls_));
  lines_ += std::count(block.begin(), block.end(), '\n');
}

// The offset of a stretch that has too many.
std::optional<int64_t> TextGuard::count_controls(std::string_view block) {
  int64_t offset = utf8_.offset() - static_cast<int64_t>(block.size());
  const auto has_too_many = [&] {
    return window_controls_ > kFewControls &&
           static_cast<double>(window_controls_) > kMostControls * static_cast<double>(window_bytes_);
  };
  if (block.empty() && has_too_many()) return offset - static_cast<int64_t>(window_bytes_);
  while (!block.empty()) {
    const std::string_view part = block.substr(0, kWindowBytes - window_bytes_);
    window_controls_ += count_control_characters(part);
    window_bytes_ += part.size();
    offset += static_cast<int64_t>(part.size());
    block.remove_prefix(part.size());
    if (window_bytes_ < kWindowBytes) break;
    if (has_too_many()) return offset - static_cast<int64_t>(kWindowBytes);
    window_bytes_ = window_controls_ = 0;
  }
  return std::nullopt;
}

void TextGuard::refuse(std::string_view block, size_t at, const std::string& what) const {
  const int64_t line = lines_ + 1 + std::count(block.begin(), block.begin() + static_cast<int64_t>(at), '\n');
  refuse_as_no_text({start_, block, at, what, fmt::format("{}:{}", path_, line)});
}

}  // namespace nexus
