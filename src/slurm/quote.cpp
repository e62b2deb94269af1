#include "slurm/quote.h"

#include <algorithm>

#include "core/error.h"

namespace nexus {
namespace {

bool is_letter_or_digit(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_made_of(std::string_view text, std::string_view others) {
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_letter_or_digit(c) || others.find(c) != std::string_view::npos; });
}

bool is_control(unsigned char c) {
  return c < 0x20 || c == 0x7f;
}

// For messages: a value that is refused may hold anything.
std::string shown(const std::string& text) {
  std::string out;
  for (const char c : text.substr(0, 60)) out += is_control(static_cast<unsigned char>(c)) ? '?' : c;
  return out + (text.size() > 60 ? "..." : "");
}

}  // namespace

std::string sbatch_quote(const std::string& text) {
  NX_CHECK(text.find('\n') == std::string::npos && text.find('\0') == std::string::npos);
  if (!text.empty() && is_made_of(text, "_./:@%+,=-")) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

void require_printable(const std::string& text, const std::string& where) {
  if (std::none_of(text.begin(), text.end(), [](char c) { return is_control(static_cast<unsigned char>(c)); })) return;
  throw Error(ErrorKind::kConfig, fmt::format("'{}' holds a control character", shown(text)), where,
              "write it without line breaks, tabs and other control characters");
}

void require_word(const std::string& text, std::string_view others, const std::string& where) {
  if (!text.empty() && text[0] != '-' && is_made_of(text, others)) return;
  throw Error(ErrorKind::kConfig, fmt::format("'{}' cannot stand in a job script", shown(text)), where,
              fmt::format("use letters, digits and {} only, and no dash in front", others));
}

}  // namespace nexus
