// Characters as every locale and every program reads them alike: ASCII, whatever <cctype> would say.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace nexus {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_letter_or_digit(char c) {
  return is_letter(c) || is_digit(c);
}
constexpr bool is_control(char c) {
  return (c >= 0 && c < 0x20) || c == 0x7f;
}

// Whether `text` holds nothing but letters, digits and the characters of `signs`. True of an empty text.
constexpr bool is_made_of(std::string_view text, std::string_view signs) {
  return std::all_of(text.begin(), text.end(),
                     [signs](char c) { return is_letter_or_digit(c) || signs.find(c) != std::string_view::npos; });
}

constexpr char to_upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}
// "Tokens"
inline std::string capitalized(std::string text) {
  if (!text.empty()) text[0] = to_upper(text[0]);
  return text;
}

}  // namespace nexus
