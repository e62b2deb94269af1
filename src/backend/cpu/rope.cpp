#include <cmath>
#include <map>
#include <mutex>
#include <tuple>

#include "backend/cpu/device.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/scalar.h"

namespace nexus::cpu {

namespace {

// cos and sin of position * theta^(-2 i / rotary_dim): [context][rotary_dim / 2] each, computed in double.
template <typename C>
struct RotationTable {
  std::vector<C> cosine, sine;
};

template <typename C>
RotationTable<C> make_table(int64_t context, int64_t rotary_dim, double theta) {
  RotationTable<C> table;
  for (int64_t position = 0; position < context; ++position) {
    for (int64_t i = 0; i < rotary_dim / 2; ++i) {
      const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(rotary_dim);
      const double angle = static_cast<double>(position) * std::pow(theta, exponent);
      table.cosine.push_back(static_cast<C>(std::cos(angle)));
      table.sine.push_back(static_cast<C>(std::sin(angle)));
    }
  }
  return table;
}

// Tables are made once per process; map nodes never move, so references stay good.
template <typename C>
const RotationTable<C>& rotation_table(const Rope& op) {
  static std::mutex mutex;
  static std::map<std::tuple<int64_t, int64_t, double>, RotationTable<C>> tables;
  const std::lock_guard lock(mutex);
  const double theta = static_cast<double>(static_cast<C>(op.theta));
  const auto key = std::tuple(op.context, op.rotary_dim, theta);
  auto found = tables.find(key);
  if (found == tables.end()) found = tables.emplace(key, make_table<C>(op.context, op.rotary_dim, theta)).first;
  return found->second;
}

template <typename T>
void rotate_head(T* head, const Wide<T>* cosine, const Wide<T>* sine, int64_t half, Wide<T> sign) {
  using C = Wide<T>;
#pragma omp simd
  for (int64_t i = 0; i < half; ++i) {
    const C first = C(head[i]), second = C(head[half + i]), s = sign * sine[i];
    store(head[i], first * cosine[i] - second * s);
    store(head[half + i], second * cosine[i] + first * s);
  }
}

template <typename T>
void rotate(const ops::Rotate& op) {
  using C = Wide<T>;
  const RotationTable<C>& table = rotation_table<C>(op.options);
  const int64_t half = op.options.rotary_dim / 2;
  const C sign = op.inverse ? C(-1) : C(1);
  T* data = op.x.as<T>();
  const int32_t* positions = op.positions.defined() ? op.positions.as<int32_t>() : nullptr;
  for (int64_t row = 0; positions != nullptr && row < op.x.shape[0]; ++row)
    NX_CHECK(positions[row] >= 0 && positions[row] < op.options.context, "row {} is at position {} of {}", row,
             positions[row], op.options.context);
  parallel_for(op.x.shape[0], [&](int64_t token) {
    const int64_t at = (positions == nullptr ? token % op.options.context : positions[token]) * half;
    for (int64_t head = 0; head < op.options.heads; ++head)
      rotate_head(data + token * op.options.ld + head * op.options.head_dim, &table.cosine[static_cast<size_t>(at)],
                  &table.sine[static_cast<size_t>(at)], half, sign);
  });
}

}  // namespace

template <>
void compute(const ops::Rotate& op, Device&) {
  with_scalar(op.x.dtype, [&]<typename T>() { rotate<T>(op); });
}

}  // namespace nexus::cpu
