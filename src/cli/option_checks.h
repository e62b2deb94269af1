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

// For `transform`: a path as a shell would read it (core/expand_path.h). A shell does not look into --out=~/x.
CLI::Validator path_of_shell();

}  // namespace nexus
