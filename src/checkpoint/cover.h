// Whether boxes cover a matrix exactly once: the rule that makes a set of slices a tensor. Private to this module.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/box.h"

namespace nexus {

// Why the boxes do not cover a [rows, columns] matrix exactly once ("rows 2 to 4 of 'w' are missing"), or "" if they
// do. Exact, in any order, and O(n log n) whatever the boxes are: a manifest may come from a stranger. Every box must
// have rows and columns >= 1, begins >= 0, and sums of those that do not overflow.
std::string cover_problem(const std::string& name, const std::vector<Box>& boxes, int64_t rows, int64_t columns);

}  // namespace nexus
