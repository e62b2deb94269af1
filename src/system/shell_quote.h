// Words of a shell: commands that people are told to type, and job scripts.
#pragma once

#include <string>
#include <vector>

namespace nexus {

// The text as exactly one word of a POSIX shell, byte for byte: itself if it is harmless, or else in single quotes.
// The text holds no NUL.
std::string shell_quote(const std::string& text);

// A command of these words, with blanks between.
std::string shell_command(const std::vector<std::string>& words);

}  // namespace nexus
