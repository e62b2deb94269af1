// The command line from its words to an exit code. Apart from `main`, because CLI11 takes seconds to compile: here it
// does so along with the commands.
#pragma once

namespace nexus {

// Runs one command; errors become one last line.
int run_command(int argc, char** argv);

}  // namespace nexus
