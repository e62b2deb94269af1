#include "tensor/box.h"

#include <algorithm>

namespace nexus {

std::vector<Box> run_boxes(const Box& box, int64_t begin, int64_t count) {
  std::vector<Box> boxes;
  for (const int64_t end = begin + count; begin < end;) {
    const int64_t row = begin / box.columns, column = begin % box.columns, left = end - begin;
    Box part{box.begin_row + row, 1, box.begin_column + column, std::min(left, box.columns - column)};
    if (column == 0 && left >= box.columns) part.rows = left / box.columns;
    begin += part.count();
    boxes.push_back(part);
  }
  return boxes;
}

}  // namespace nexus
