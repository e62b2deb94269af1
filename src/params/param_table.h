// The parameter table: one ordered list of facts about every parameter tensor of a model. It drives allocation,
// sharding, checkpoints, growth, parameter and FLOP counts: facts written once cannot disagree.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "tensor/tensor.h"

namespace nexus {

// Which model width an extent follows. Growth changes only the widths after kFixed.
enum class Width : uint8_t { kFixed, kM, kA, kTokensQkv, kTokensProj, kTokensFfn };
inline constexpr Width kGrowableWidths[] = {Width::kM, Width::kA, Width::kTokensQkv, Width::kTokensProj,
                                            Width::kTokensFfn};
std::string_view name_of(Width width);  // "M", "A", "n_qkv", ...

// The role of an axis in its matrix: producing entries (a row of W_M makes a channel) or consuming them (a column of
// W_A reads one). A grown channel is silent when its producing entries are zero.
enum class AxisRole : uint8_t { kProduces, kConsumes };

struct Axis {
  int64_t extent = 0;
  Width width = Width::kFixed;
  AxisRole role = AxisRole::kProduces;
};

enum class Init : uint8_t { kOnes, kNormal };

struct ParamSpec {
  std::string name;        // "layers.3.attn.q.w_m"
  std::vector<Axis> axes;  // logical (unsharded) extents, [out, in] for a weight
  Init init = Init::kNormal;
  double init_std = 0.02;
  bool decay = true;    // weight decay: matrices and embeddings, not norms
  int shard_axis = -1;  // axis that tensor parallelism splits; -1 is replicated
  int64_t offset = 0;   // first element in the flat buffers; set by ParamTable::add

  Shape shape() const;
  int64_t count() const { return shape().count(); }
};

// Tensors lie back to back in the flat buffers, in table order and without padding, so neighbours of equal shape form a
// stacked tensor: q.w_m, k.w_m, v.w_m are one [3, M, D] operand of a batched product.
class ParamTable {
 public:
  // Appends and returns the index; names are unique.
  int add(ParamSpec spec);
  int size() const { return static_cast<int>(specs_.size()); }
  const ParamSpec& operator[](int index) const { return specs_[static_cast<size_t>(index)]; }
  int find(const std::string& name) const;  // -1 if absent
  int64_t count() const { return count_; }  // elements in all
  auto begin() const { return specs_.begin(); }
  auto end() const { return specs_.end(); }
  // Digest of names, shapes and roles: ranks and checkpoints compare it.
  std::string digest() const;

 private:
  std::vector<ParamSpec> specs_;
  std::unordered_map<std::string, int> index_;
  int64_t count_ = 0;
};

}  // namespace nexus
