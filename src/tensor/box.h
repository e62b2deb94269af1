// Box: a rectangle of a logical tensor, the piece that a rank holds, saves or reads.
//
// A tensor of any rank >= 1 is seen as a matrix: rows along its first axis, columns of the flattened other axes (1 for
// a rank-1 tensor). Pure arithmetic; nothing here throws.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace nexus {

struct Box {
  int64_t begin_row = 0, rows = 0, begin_column = 0, columns = 0;

  int64_t end_row() const { return begin_row + rows; }
  int64_t end_column() const { return begin_column + columns; }
  int64_t count() const { return rows * columns; }
  bool empty() const { return rows <= 0 || columns <= 0; }
  bool operator==(const Box&) const = default;
};

// What both boxes hold; all zeros if that is nothing.
inline Box intersection(const Box& a, const Box& b) {
  Box both;
  both.begin_row = std::max(a.begin_row, b.begin_row);
  both.begin_column = std::max(a.begin_column, b.begin_column);
  both.rows = std::min(a.end_row(), b.end_row()) - both.begin_row;
  both.columns = std::min(a.end_column(), b.end_column()) - both.begin_column;
  return both.empty() ? Box{} : both;
}

// Columns of a tensor seen as a matrix; its first extent must not be 0.
inline int64_t columns_of(const Shape& shape) {
  return shape.count() / shape[0];
}

// Whole rows [begin, begin + rows) of a tensor.
inline Box row_box(const Shape& shape, int64_t begin, int64_t rows) {
  return {begin, rows, 0, columns_of(shape)};
}

// A whole tensor.
inline Box whole_box(const Shape& shape) {
  return row_box(shape, 0, shape[0]);
}

// Elements [begin, begin + count) of a box in its own row order, as at most three boxes in that order: the end of a
// row, whole rows, the begin of a row. The box must not be empty and must hold them.
std::vector<Box> run_boxes(const Box& box, int64_t begin, int64_t count);

}  // namespace nexus
