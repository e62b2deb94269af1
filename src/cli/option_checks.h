// Checks of what options take: CLI11 by itself takes -1 for an unsigned number, 010 for eight, and nan. Mistakes are
// CLI::ValidationError, which main reports with exit code 2.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>

namespace nexus {

// Plain digits of a whole number in [min, max].
CLI::Validator whole_number(int64_t min, int64_t max = std::numeric_limits<int64_t>::max());

// A finite decimal number above `above` and at most `most`.
CLI::Validator number_above(double above, double most);
// The same with `least` itself.
CLI::Validator number_from(double least, double most);

// A time with its unit: 90s, 30min, 2h (core/units.h).
CLI::Validator duration();

// For `transform`: a path as a shell would read it (system/expand_path.h). A shell does not look into --out=~/x.
CLI::Validator path_of_shell();
// The same for what is read (a folder, a file, the prefix of token files): what lies there under the very name is
// meant, for a shell that expands *.txt writes names of any kind; everything else is read as a shell would.
CLI::Validator path_to_read();
// The same for what is written and later named in campaign files: refuses names that no campaign file can hold.
CLI::Validator path_for_campaigns();

}  // namespace nexus
