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

// What to say of text that is not UTF-8 at some later place: throws ErrorKind::kData. `what` is the fact.
[[noreturn]] void refuse_encoding(std::string_view start, const std::string& what, const std::string& where);

}  // namespace nexus
