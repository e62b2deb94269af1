// Descriptors 0 to 2, which not every parent opens (cron, daemons, `>&-`), and a standard output that breaks.
#pragma once

#include <string>

namespace nexus {

// The first thing that a program does. Opens what is closed on /dev/null: otherwise the next file that is opened would
// be a standard stream, and what is printed would be written into it. A standard output that was closed stays one that
// refuses what is written. Ignores SIGPIPE: a reader that has gone is an error of the write.
void secure_standard_streams();

// Whether there is anybody to print log lines for: standard output was open when the program began.
bool standard_output_wanted();

// Why something that was printed so far is lost; "" if all of it has been written.
std::string standard_output_trouble();

}  // namespace nexus
