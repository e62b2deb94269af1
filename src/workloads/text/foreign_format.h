// Files that are not UTF-8 text: what they are, by their first bytes and never by their name.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace nexus {

// As many first bytes as recognition looks at.
constexpr size_t kFormatStartBytes = 1024;

// Throws ErrorKind::kData, with what the file is and how to make text of it, where `start` (the first kFormatStartBytes
// of the text, fewer only if there are no more) begins an archive, a table or a document of a known format, or text in
// UTF-16 or UTF-32. None of the byte sequences begins a UTF-8 text that is prose or code.
void refuse_foreign_format(std::string_view start, const std::string& path);

// Control characters other than line ends, tabs, form feeds, backspaces and escapes, which terminals log.
size_t count_control_characters(std::string_view text);

// A place in a text that no UTF-8 text has.
struct NoText {
  std::string_view start;   // the first kFormatStartBytes of the text
  std::string_view block;   // what was read last
  size_t at = 0;            // the place in it
  std::string what, where;  // the fact, and FILE:LINE
};
// What to say of it: throws ErrorKind::kData, naming UTF-16, UTF-32, binary data or damage where it reads as such.
[[noreturn]] void refuse_as_no_text(const NoText& found);

}  // namespace nexus
