// Text that people write and others read again: campaign files, and names that such files must be able to hold.
#pragma once

#include <string>
#include <string_view>

namespace nexus {

// What is wrong with the bytes of `text` ("an invisible character (U+00AD)"): no UTF-8, control, invisible or
// bidirectional characters, and line breaks and tabs where they are not allowed. Empty if it is clean. `line` receives
// the line of the first offence.
std::string find_bad_character(std::string_view text, bool allow_line_breaks, int& line);

}  // namespace nexus
