#include "core/clean_text.h"

#include <fmt/format.h>

#include <cstdint>
#include <optional>

namespace nexus {
namespace {

struct CharacterRange {
  uint32_t first, last;
  const char* name;
};

// Characters that show nothing, or show something else than is there ("Trojan source", CVE-2021-42574).
constexpr CharacterRange kForbidden[] = {
    {0x00, 0x08, "a control character"},         {0x0B, 0x0C, "a control character"},
    {0x0E, 0x1F, "a control character"},         {0x7F, 0x9F, "a control character"},
    {0xAD, 0xAD, "an invisible character"},      {0x61C, 0x61C, "a bidirectional control character"},
    {0x200B, 0x200D, "an invisible character"},  {0x200E, 0x200F, "a bidirectional control character"},
    {0x2028, 0x2029, "a line separator"},        {0x202A, 0x202E, "a bidirectional control character"},
    {0x2060, 0x2064, "an invisible character"},  {0x2066, 0x2069, "a bidirectional control character"},
    {0xFEFF, 0xFEFF, "a byte order mark"},       {0xFFF9, 0xFFFF, "a character that is no text"},
    {0xE0000, 0xE0FFF, "an invisible character"}};

// The code point at text[at], advancing `at`; nothing if the bytes are no UTF-8 (overlong forms and surrogates
// included).
std::optional<uint32_t> next_code_point(std::string_view text, size_t& at) {
  const auto lead = static_cast<unsigned char>(text[at++]);
  if (lead < 0x80) return lead;
  const size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  if (lead < 0xC2 || lead > 0xF4 || at + more > text.size()) return std::nullopt;
  uint32_t code = lead & (0x3Fu >> more);
  for (size_t i = 0; i < more; ++i) {
    const auto byte = static_cast<unsigned char>(text[at++]);
    if ((byte & 0xC0) != 0x80) return std::nullopt;
    code = code << 6 | (byte & 0x3Fu);
  }
  constexpr uint32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[more] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return std::nullopt;
  return code;
}

}  // namespace

std::string find_bad_character(std::string_view text, bool allow_line_breaks, int& line) {
  line = 1;
  for (size_t at = 0; at < text.size();) {
    const auto code = next_code_point(text, at);
    if (!code) return "bytes that are not UTF-8";
    if (*code == '\n' || *code == '\r' || *code == '\t') {
      if (!allow_line_breaks) return "a line break or tab";
      line += *code == '\n';
      continue;
    }
    for (const CharacterRange& range : kForbidden)
      if (*code >= range.first && *code <= range.last) return fmt::format("{} (U+{:04X})", range.name, *code);
  }
  return "";
}

}  // namespace nexus
