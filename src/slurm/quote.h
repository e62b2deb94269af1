// How values enter job scripts: as one word of the shell, as the value of an #SBATCH line, or not at all.
#pragma once

#include <string>
#include <string_view>

namespace nexus {

// The text as exactly one word of bash, byte for byte: itself if it is harmless, or else in single quotes. The text
// holds no NUL.
std::string shell_quote(const std::string& text);

// The text as sbatch's own reader of #SBATCH lines takes it, which is no shell: in double quotes, where a backslash
// keeps the next character. The text holds no line break.
std::string sbatch_quote(const std::string& text);

// Refuses what no shell script should hold even quoted: control characters. `where` is the key, e.g. "cluster key
// nexus". Throws ErrorKind::kConfig.
void require_printable(const std::string& text, const std::string& where);

// Refuses (ErrorKind::kConfig) an empty text, a leading dash, and anything but letters, digits and `others`.
void require_word(const std::string& text, std::string_view others, const std::string& where);

}  // namespace nexus
