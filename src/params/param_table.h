// The parameter table: one ordered list of facts about every parameter tensor of a model. It drives allocation,
// sharding, checkpoints, growth, parameter and FLOP counts: facts written once cannot disagree.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "params/sharding.h"
#include "tensor/box.h"
#include "tensor/tensor.h"

namespace nexus {

// Which width of the model an extent follows: the name of a key of its architecture that grows ("M", "n_qkv").
using Width = std::string;
inline const Width kFixedWidth;  // of an extent that never changes

// The role of an axis in its matrix: producing entries (a row of W_M makes a channel) or consuming them (a column of
// W_A reads one). A grown channel is silent when its producing entries are zero.
enum class AxisRole : uint8_t { kProduces, kConsumes };

struct Axis {
  int64_t extent = 0;
  Width width = kFixedWidth;
  AxisRole role = AxisRole::kProduces;
};

enum class Init : uint8_t { kOnes, kNormal };

// Where in a model a tensor stands: in the layer that reads samples, in a block or the final norm, in the layer that
// predicts.
enum class ModelPart : uint8_t { kInput, kBody, kOutput };

struct ParamSpec {
  std::string name;        // "layers.3.attn.q.w_m"
  std::vector<Axis> axes;  // logical (unsharded) extents, [out, in] for a weight; one or two
  Init init = Init::kNormal;
  double init_std = 0.02;
  bool decay = true;    // weight decay: matrices and embeddings, not norms
  int shard_axis = -1;  // axis that tensor parallelism splits; -1 is replicated
  ModelPart part = ModelPart::kBody;
  int products = 1;  // of a matrix: how often a forward pass multiplies a row by it; a lookup is none

  // Set by ParamTable::add.
  Box local;           // what this rank holds
  int64_t offset = 0;  // of the first element of `local` in the flat buffers, where it lies row by row

  Shape shape() const;  // logical
  int64_t rows() const { return axes[0].extent; }
  int64_t columns() const { return axes.size() == 2 ? axes[1].extent : 1; }
  int64_t count() const { return rows() * columns(); }
  Box whole() const { return {0, rows(), 0, columns()}; }
  Shape local_shape() const;
  bool sharded() const { return shard_axis >= 0; }
};

// Consecutive entries whose gradients become final together and travel in one message.
struct Bucket {
  int first = 0, end = 0;         // table entries
  int64_t offset = 0, count = 0;  // elements of the flat buffers, padding included; count divides by dp_size
};

// Tensors lie back to back in the flat buffers, in table order, so neighbours of equal width form a stacked tensor:
// q.w_m, k.w_m, v.w_m are one [3 M, D] operand of a product. Only buckets are padded at their end, to a multiple of
// kAlignment * dp_size elements, so that every data-parallel rank's part of a bucket is equal and aligned.
class ParamTable {
 public:
  static constexpr int64_t kAlignment = 64;

  explicit ParamTable(const Sharding& sharding = {}) : sharding_(sharding) {}

  // Appends and returns the index; names are unique.
  int add(ParamSpec spec);
  void close_bucket();          // what is added from here on belongs to the next one
  void add_product(int index);  // a layer multiplies by a matrix that another one has added

  const Sharding& sharding() const { return sharding_; }
  // What a rank holds of `extent` entries that divide by tp_size.
  int64_t local(int64_t extent) const;
  int size() const { return static_cast<int>(specs_.size()); }
  const ParamSpec& operator[](int index) const { return specs_[static_cast<size_t>(index)]; }
  int find(const std::string& name) const;  // -1 if absent
  int64_t count() const { return count_; }  // parameters of the model
  std::vector<Bucket> buckets() const;
  // Elements of the flat buffers of gradients and compute weights, and of those of master weights and moments.
  int64_t flat_count() const;
  int64_t state_count() const { return sharding_.zero ? flat_count() / sharding_.dp_size : flat_count(); }
  auto begin() const { return specs_.begin(); }
  auto end() const { return specs_.end(); }
  // Digest of names, logical shapes and roles: ranks and checkpoints compare it.
  std::string digest() const;

 private:
  int64_t padded(int64_t count) const;

  Sharding sharding_;
  std::vector<ParamSpec> specs_;
  std::unordered_map<std::string, int> index_;
  std::vector<Bucket> closed_;
  int64_t count_ = 0;
  int64_t bucket_begin_ = 0, flat_end_ = 0;  // of the open bucket
};

// What a tensor is to its model: "input" or "output" by its part; of a block "norm" for a vector, and for a matrix what
// its layer calls it ("w_a", "value", "weight").
std::string role_of(const ParamSpec& spec);

// What `tp_rank` of `tp_size` ranks holds of a tensor: an even cut of the shard axis, up to one entry.
Box local_box(const ParamSpec& spec, int tp_rank, int tp_size);

}  // namespace nexus
