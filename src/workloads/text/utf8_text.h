// Questions to UTF-8 text, as Unicode answers them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace nexus {

// Bytes at the start of `text` that are UTF-8.
size_t valid_utf8_bytes(std::string_view text);

// The first character of valid, non-empty text, and the last one.
char32_t first_character(std::string_view text);
char32_t last_character(std::string_view text);
void append_utf8(std::string& text, char32_t character);

// White_Space.
bool is_unicode_blank(char32_t c);
size_t blank_bytes_at_start(std::string_view text);
size_t blank_bytes_at_end(std::string_view text);

// Letters, marks, digits, and signs that join words (\w of UTS 18). False of an empty text.
bool begins_with_word(std::string_view text);
bool ends_with_word(std::string_view text);

// Normalisation form C.
std::string to_nfc(std::string_view text);
// True only of text that to_nfc leaves as it is; false of some of it, too.
bool is_plainly_nfc(std::string_view text);

}  // namespace nexus
