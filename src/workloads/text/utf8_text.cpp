#include "workloads/text/utf8_text.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "core/error.h"
#include "workloads/text/text_guard.h"

namespace nexus {
namespace {

bool continues_character(char c) {
  return (static_cast<uint8_t>(c) & 0xC0) == 0x80;
}

size_t start_of_last(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && continues_character(text[at])) --at;
  return at;
}

// Word characters of the tokenizers library: those of UTS 18, which are letters, marks, decimal digits and connectors.
bool is_word_character(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    default: return c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9);  // joiners; letters in circles
  }
}

}  // namespace

size_t valid_utf8_bytes(std::string_view text) {
  Utf8Checker checker;
  if (const auto bad = checker.feed(text)) return static_cast<size_t>(*bad);
  if (checker.complete()) return text.size();
  return start_of_last(text);
}

char32_t first_character(std::string_view text) {
  utf8proc_int32_t character = 0;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &character);
  return static_cast<char32_t>(character);
}

char32_t last_character(std::string_view text) {
  return first_character(text.substr(start_of_last(text)));
}

void append_utf8(std::string& text, char32_t character) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(character), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(count));
}

bool is_unicode_blank(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

size_t blank_bytes_at_start(std::string_view text) {
  std::string_view rest = text;
  while (!rest.empty() && is_unicode_blank(first_character(rest))) {
    rest.remove_prefix(1);
    while (!rest.empty() && continues_character(rest.front())) rest.remove_prefix(1);
  }
  return text.size() - rest.size();
}

size_t blank_bytes_at_end(std::string_view text) {
  size_t end = text.size();
  while (end > 0 && is_unicode_blank(last_character(text.substr(0, end)))) end = start_of_last(text.substr(0, end));
  return text.size() - end;
}

bool begins_with_word(std::string_view text) {
  return !text.empty() && is_word_character(first_character(text));
}

bool ends_with_word(std::string_view text) {
  return !text.empty() && is_word_character(last_character(text));
}

std::string to_nfc(std::string_view text) {
  utf8proc_uint8_t* composed = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &composed, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(composed, std::free);
  NX_CHECK(size >= 0, "{}", utf8proc_errmsg(size));
  return {reinterpret_cast<const char*>(composed), static_cast<size_t>(size)};
}

// Latin with its accents composed, Cyrillic, punctuation, kana, CJK and Hangul, without marks that combine and without
// characters that decompose.
bool is_plainly_nfc(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<uint8_t>(text[i]);
    if (lead < 0xCC || continues_character(text[i])) continue;  // below U+0300
    const char32_t c = first_character(text.substr(i));
    if ((c >= 0x400 && c < 0x483) || (c >= 0x2010 && c < 0x2028) || (c >= 0x3001 && c < 0x302A) ||
        (c >= 0x3041 && c < 0x3097) || (c >= 0x30A1 && c < 0x3100) || (c >= 0x4E00 && c < 0xA000) ||
        (c >= 0xAC00 && c < 0xD7A4))
      continue;
    return false;
  }
  return true;
}

}  // namespace nexus
