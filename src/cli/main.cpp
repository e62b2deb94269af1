// The `nexus` program: runs one command and answers for what was not printed.
#include <string>

#include "cli/launch.h"
#include "cli/run_command.h"
#include "core/exit_code.h"
#include "core/standard_streams.h"

int main(int argc, char** argv) {
  nexus::secure_standard_streams();
  const int code = nexus::run_command(argc, argv);
  const std::string trouble = nexus::standard_output_trouble();
  if (code != 0 || trouble.empty()) return code;
  nexus::print_error("what was printed is not all written: " + trouble +
                         "; standard output; what the command has written to files is whole: print to another place",
                     0);
  return nexus::to_int(nexus::ExitCode::kTransient);
}
