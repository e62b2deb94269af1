// Is what is read UTF-8 text? Asked of every byte of a file, not only of its head: encodings are joined, files are
// torn.
//
// Besides what is not UTF-8, text holds no zero byte and few control characters. Without that rule UTF-16 would pass:
// in Russian, Arabic, Hindi or Thai all its bytes are below 0x80, hence valid UTF-8, and its blanks have a zero byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nexus {

// Checks UTF-8 across block borders (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
class Utf8Checker {
 public:
  // Offset, in the whole stream, of the first byte of what is not UTF-8.
  std::optional<int64_t> feed(std::string_view block);
  uint8_t lead() const { return lead_; }  // that byte
  bool complete() const { return missing_ == 0; }
  int64_t offset() const { return offset_; }  // bytes fed so far

 private:
  bool accept(uint8_t byte);
  int64_t offset_ = 0;
  int64_t lead_offset_ = 0;     // of the first byte of the last character that is not ASCII
  uint8_t lead_ = 0;            // this byte
  int missing_ = 0;             // continuation bytes still to come
  uint8_t low_ = 0, high_ = 0;  // range of the next continuation byte
};

class TextGuard {
 public:
  // Control characters, other than blanks, backspace and escape (as terminals log them), that a stretch of kWindowBytes
  // may hold: a dump with separators such as 0x01 has one in some ten bytes at most, Cyrillic or Thai in UTF-16 one in
  // two.
  static constexpr size_t kWindowBytes = 1024;
  static constexpr double kMostControls = 0.1;
  static constexpr size_t kFewControls = 4;  // so many say nothing of a short text

  TextGuard() = default;
  // Throws as refuse_foreign_format does. `start`: the first kFormatStartBytes of the text, or all of it.
  TextGuard(std::string path, std::string start);
  // The next block, the start included; an empty one at the end. Throws ErrorKind::kData with the line, the byte and
  // what the file seems to be.
  void feed(std::string_view block);

 private:
  std::optional<int64_t> count_controls(std::string_view block);
  [[noreturn]] void refuse(std::string_view block, size_t at, const std::string& what) const;

  std::string path_, start_;
  Utf8Checker utf8_;
  int64_t lines_ = 0;                              // line ends in the blocks before this one
  size_t window_bytes_ = 0, window_controls_ = 0;  // of the open stretch
};

}  // namespace nexus
