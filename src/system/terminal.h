// The terminal that a person may sit at.
#pragma once

namespace nexus {

bool is_terminal(int descriptor);
// Its width in characters: what the terminal says, else the variable COLUMNS, else 100.
int terminal_columns(int descriptor);
// Whether to write in colours: a terminal, and NO_COLOR is not set (no-color.org).
bool wants_color(int descriptor);

}  // namespace nexus
