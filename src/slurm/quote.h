// How values enter job scripts: as the value of an #SBATCH line, as a word of the shell (system/shell_quote.h), or not
// at all.
#pragma once

#include <string>
#include <string_view>

namespace nexus {

// The text as sbatch's own reader of #SBATCH lines takes it, which is no shell: in double quotes, where a backslash
// keeps the next character. The text holds no line break.
std::string sbatch_quote(const std::string& text);

// Refuses what no shell script should hold even quoted: control characters. `where` is the key, e.g. "cluster key
// nexus". Throws ErrorKind::kConfig.
void require_printable(const std::string& text, const std::string& where);

// Refuses (ErrorKind::kConfig) what is no word with these signs (spec/cluster_words.h).
void require_word(const std::string& text, std::string_view signs, const std::string& where);

}  // namespace nexus
