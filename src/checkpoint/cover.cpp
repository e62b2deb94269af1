// A line sweeps down the rows. Below it lie the active boxes, which are disjoint intervals of columns; a new one can
// only overlap its two neighbours. Between two events the intervals must fill the whole width.
#include "checkpoint/cover.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>

namespace nexus {
namespace {

class Sweep {
 public:
  Sweep(const std::string& name, const std::vector<Box>& boxes, int64_t columns)
      : name_(name), boxes_(boxes), columns_(columns) {}

  void leave(size_t index) {
    active_.erase(boxes_[index].begin_column);
    width_ -= boxes_[index].columns;
  }

  // Why the box cannot enter, or "".
  std::string enter(size_t index) {
    const Box& box = boxes_[index];
    if (box.end_column() > columns_) return fmt::format("slices of '{}' reach beyond its last column", name_);
    const auto right = active_.lower_bound(box.begin_column);
    if (right != active_.end() && boxes_[right->second].begin_column < box.end_column())
      return twice(box, boxes_[right->second]);
    if (right != active_.begin()) {
      const Box& left = boxes_[std::prev(right)->second];
      if (left.end_column() > box.begin_column) return twice(box, left);
    }
    active_.emplace_hint(right, box.begin_column, index);
    width_ += box.columns;
    return "";
  }

  // Why rows [begin, end), which no box enters or leaves, are not whole, or "".
  std::string hole(int64_t begin, int64_t end) const {
    if (width_ == columns_ || begin == end) return "";
    if (active_.empty()) return fmt::format("rows {} to {} of '{}' are missing", begin, end, name_);
    int64_t column = 0;
    for (const auto& [first, index] : active_) {
      if (first > column) return missing(begin, end, column, first);
      column = boxes_[index].end_column();
    }
    return missing(begin, end, column, columns_);
  }

 private:
  std::string missing(int64_t begin, int64_t end, int64_t first, int64_t last) const {
    return fmt::format("rows {} to {}, columns {} to {} of '{}' are missing", begin, end, first, last, name_);
  }

  std::string twice(const Box& a, const Box& b) const {
    const Box both = intersection(a, b);
    if (both.columns == columns_)
      return fmt::format("rows {} to {} of '{}' are held twice", both.begin_row, both.end_row(), name_);
    return fmt::format("rows {} to {}, columns {} to {} of '{}' are held twice", both.begin_row, both.end_row(),
                       both.begin_column, both.end_column(), name_);
  }

  const std::string& name_;
  const std::vector<Box>& boxes_;
  int64_t columns_, width_ = 0;
  std::map<int64_t, size_t> active_;  // first column -> box
};

std::vector<size_t> sorted_by(const std::vector<Box>& boxes, const std::function<int64_t(const Box&)>& key) {
  std::vector<size_t> order(boxes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(boxes[a]) < key(boxes[b]); });
  return order;
}

}  // namespace

std::string cover_problem(const std::string& name, const std::vector<Box>& boxes, int64_t rows, int64_t columns) {
  const std::vector<size_t> starts = sorted_by(boxes, [](const Box& box) { return box.begin_row; });
  const std::vector<size_t> ends = sorted_by(boxes, [](const Box& box) { return box.end_row(); });
  Sweep sweep(name, boxes, columns);
  int64_t row = 0;
  size_t start = 0, end = 0;
  while (end < ends.size()) {
    // Every box starts before it ends, so the next start, if any is left, may come before the next end.
    int64_t next = boxes[ends[end]].end_row();
    if (start < starts.size()) next = std::min(next, boxes[starts[start]].begin_row);
    if (std::string problem = sweep.hole(row, std::min(next, rows)); !problem.empty()) return problem;
    if (next > rows) return fmt::format("slices of '{}' reach beyond its last row", name);
    row = next;
    for (; end < ends.size() && boxes[ends[end]].end_row() == row; ++end) sweep.leave(ends[end]);
    for (; start < starts.size() && boxes[starts[start]].begin_row == row; ++start)
      if (std::string problem = sweep.enter(starts[start]); !problem.empty()) return problem;
  }
  return sweep.hole(row, rows);
}

}  // namespace nexus
