// What a test of layers or models needs around them: the CPU back end, parameters worth testing, and a poisoned arena.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "core/rng.h"
#include "layers/context.h"
#include "params/param_store.h"

namespace nexus::testing {

// Normal(0, std) values that depend on the name only.
inline std::vector<double> normals(const std::string& name, int64_t count, double std = 1.0) {
  const RandomStream random(7, name);
  std::vector<double> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = std * random.normal(i);
  return values;
}

// Parameters at which every nonlinearity bends: matrices normal(0, 1 / sqrt(columns)), norms around 1. The training
// initialisation (0.02) would leave a tiny model almost linear and its gradients almost zero. The same on every grid.
inline void draw_lively(ParamStore& params) {
  for (int index = 0; index < params.table().size(); ++index) {
    const ParamSpec& spec = params.table()[index];
    const bool ones = spec.init == Init::kOnes;
    const double std = ones ? 0.3 : 1.0 / std::sqrt(static_cast<double>(spec.axes.back().extent));
    std::vector<double> values = normals(spec.name, spec.count(), std);
    if (ones)
      for (double& value : values) value += 1.0;
    std::vector<double> mine;
    for (int64_t row = spec.local.begin_row; row < spec.local.begin_row + spec.local.rows; ++row) {
      const auto first = values.begin() + row * spec.columns() + spec.local.begin_column;
      mine.insert(mine.end(), first, first + spec.local.columns);
    }
    if (params.wide_dtype() == DType::kF64)
      params.set_weights(index, mine.data());
    else
      params.set_weights(index, std::vector<float>(mine.begin(), mine.end()).data());
  }
}

// An arena whose memory is all ones bits: NaN in every floating type, so reading what was never written shows.
inline Arena poisoned_arena(int64_t size_bytes) {
  Buffer buffer = host_buffer(size_bytes);
  std::memset(buffer.data(), 0xFF, static_cast<size_t>(size_bytes));
  return Arena(std::move(buffer));
}

// Owned f64 or i32 values as a tensor.
class HostTensor {
 public:
  HostTensor(Shape shape, std::vector<double> values) : values_(std::move(values)), shape_(shape) {}
  Tensor view() { return {values_.data(), DType::kF64, shape_}; }
  double* data() { return values_.data(); }
  int64_t count() const { return shape_.count(); }
  const std::vector<double>& values() const { return values_; }

 private:
  std::vector<double> values_;
  Shape shape_;
};

inline HostTensor random_tensor(const std::string& name, Shape shape) {
  return HostTensor(shape, normals(name, shape.count()));
}
inline HostTensor nan_tensor(Shape shape) {
  return HostTensor(shape, std::vector<double>(static_cast<size_t>(shape.count()), std::nan("")));
}

inline std::vector<int32_t> random_tokens(const std::string& name, int64_t count, int64_t vocab) {
  const RandomStream random(11, name);
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (size_t i = 0; i < tokens.size(); ++i)
    tokens[i] = static_cast<int32_t>(random.below(i, static_cast<uint64_t>(vocab)));
  return tokens;
}
inline Tensor view_of(std::vector<int32_t>& tokens) {
  return {tokens.data(), DType::kI32, {static_cast<int64_t>(tokens.size())}};
}

}  // namespace nexus::testing
