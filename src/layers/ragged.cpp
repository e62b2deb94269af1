#include "layers/ragged.h"

#include <algorithm>

namespace nexus {

void RaggedLayout::add_run(int64_t rows, int64_t position, std::span<const int32_t> seen) {
  const auto number = [](int64_t value) { return static_cast<int32_t>(value); };
  const bool whole = position == 0 && rows == std::ssize(seen) && seen.front() == std::ssize(positions);
  sequence = whole && (runs.empty() || sequence == rows) ? rows : 0;
  for (const int64_t field : {std::ssize(positions), rows, std::ssize(keys), std::ssize(seen)})
    runs.push_back(number(field));
  for (int64_t i = 0; i < rows; ++i) positions.push_back(number(position + i));
  keys.insert(keys.end(), seen.begin(), seen.end());
  longest = std::max(longest, rows);
  pairs += rows * (2 * std::ssize(seen) - rows + 1) / 2;
}

RaggedExtents RaggedLayout::extents() const {
  return {std::ssize(positions), std::ssize(runs) / 4, std::ssize(keys), std::ssize(outputs)};
}

RaggedRows alloc_ragged(Arena& arena, const RaggedExtents& extents, int64_t position_limit) {
  RaggedRows rows;
  rows.positions = arena.alloc(DType::kI32, {extents.rows});
  rows.position_limit = position_limit;
  rows.runs = arena.alloc(DType::kI32, {extents.runs, 4});
  rows.keys = arena.alloc(DType::kI32, {extents.keys});
  rows.longest = extents.rows;
  rows.pairs = extents.rows * extents.keys;
  rows.outputs = arena.alloc(DType::kI32, {extents.outputs});
  return rows;
}

RaggedRows copy_in(Backend& backend, Arena& arena, const RaggedLayout& layout, int64_t position_limit) {
  RaggedRows rows = alloc_ragged(arena, layout.extents(), position_limit);
  rows.longest = layout.longest;
  rows.pairs = layout.pairs;
  rows.sequence = layout.sequence;
  backend.copy_in(rows.positions, layout.positions.data());
  backend.copy_in(rows.runs, layout.runs.data());
  backend.copy_in(rows.keys, layout.keys.data());
  backend.copy_in(rows.outputs, layout.outputs.data());
  return rows;
}

}  // namespace nexus
