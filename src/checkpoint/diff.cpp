#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "checkpoint/checkpoint.h"

namespace nexus {
namespace {

constexpr int64_t kBlockBytes = 64 << 20;

double distance(double a, double b) {
  if (std::isnan(a) && std::isnan(b)) return 0;
  if (a == b) return 0;  // equal infinities
  const double gap = std::abs(a - b);
  return std::isnan(gap) ? std::numeric_limits<double>::infinity() : gap;
}

template <typename T>
void compare(const char* a, const char* b, int64_t count, TensorDiff& diff) {
  for (int64_t i = 0; i < count; ++i) {
    T x, y;
    std::memcpy(&x, a + i * static_cast<int64_t>(sizeof x), sizeof x);
    std::memcpy(&y, b + i * static_cast<int64_t>(sizeof y), sizeof y);
    if (std::memcmp(&x, &y, sizeof x) == 0) continue;
    ++diff.differing;
    diff.max_abs = std::max(diff.max_abs, distance(x, y));
  }
}

void compare_values(const Checkpoint& a, const Checkpoint& b, TensorDiff& diff) {
  const auto& [dtype, shape] = a.info(diff.name);
  diff.count = shape.count();
  const int64_t row_count = diff.count / shape[0];
  const int64_t block_rows = std::clamp<int64_t>(kBlockBytes / (row_count * size_of(dtype)), 1, shape[0]);
  const auto block_bytes = static_cast<size_t>(block_rows * row_count * size_of(dtype));
  std::vector<char> left(block_bytes), right(block_bytes);
  for (int64_t row = 0; row < shape[0]; row += block_rows) {
    const int64_t rows = std::min(block_rows, shape[0] - row);
    a.read(diff.name, row_box(shape, row, rows), left.data());
    b.read(diff.name, row_box(shape, row, rows), right.data());
    if (dtype == DType::kF64)
      compare<double>(left.data(), right.data(), rows * row_count, diff);
    else
      compare<float>(left.data(), right.data(), rows * row_count, diff);
  }
}

TensorDiff diff_tensor(const std::string& name, const Checkpoint& a, const Checkpoint& b) {
  TensorDiff diff;
  diff.name = name;
  if (!b.contains(name)) {
    diff.note = "only in A";
  } else if (!a.contains(name)) {
    diff.note = "only in B";
  } else if (!(a.info(name).shape == b.info(name).shape)) {
    diff.note = fmt::format("shape {} against {}", a.info(name).shape.str(), b.info(name).shape.str());
  } else if (a.info(name).dtype != b.info(name).dtype) {
    diff.note = fmt::format("{} against {}", name_of(a.info(name).dtype), name_of(b.info(name).dtype));
  } else {
    compare_values(a, b, diff);
  }
  return diff;
}

}  // namespace

std::vector<TensorDiff> diff_checkpoints(const Checkpoint& a, const Checkpoint& b) {
  std::set<std::string> names;
  for (const Checkpoint* side : {&a, &b})
    for (const std::string& name : side->tensor_names()) names.insert(name);
  std::vector<TensorDiff> diffs;
  for (const std::string& name : names) diffs.push_back(diff_tensor(name, a, b));
  return diffs;
}

}  // namespace nexus
