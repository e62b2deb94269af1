#include "growth/grow.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "core/rng.h"
#include "model/architecture.h"
#include "params/replication.h"

namespace nexus {
namespace {

// The whole of one tensor in host memory, in the wide type T of the stores.
template <typename T>
struct HostTensor {
  const ParamSpec& spec;
  std::vector<T> values;
  explicit HostTensor(const ParamSpec& of) : spec(of), values(static_cast<size_t>(of.count()), T(0)) {}
  T* at(int64_t row, int64_t column) { return &values[static_cast<size_t>(row * spec.columns() + column)]; }

  std::vector<T> box(const Box& box) {
    std::vector<T> out;
    out.reserve(static_cast<size_t>(box.count()));
    for (int64_t row = box.begin_row; row < box.begin_row + box.rows; ++row)
      out.insert(out.end(), at(row, box.begin_column), at(row, box.begin_column) + box.columns);
    return out;
  }
};

template <typename T>
void fill_normal(HostTensor<T>& to, const GrowthMove& move, const RandomStream& stream) {
#pragma omp parallel for schedule(static)
  for (int64_t r = move.row_begin; r < move.row_end; ++r)
    for (int64_t c = move.column_begin; c < move.column_end; ++c)
      *to.at(r, c) = static_cast<T>(move.std * stream.normal(static_cast<uint64_t>(r * to.spec.columns() + c)));
}

template <typename T>
void copy_block(HostTensor<T>& from, HostTensor<T>& to, const GrowthMove& move) {
  for (int64_t r = move.row_begin; r < move.row_end; ++r)
    std::memcpy(to.at(r, move.column_begin), from.at(r, move.column_begin),
                static_cast<size_t>(move.column_end - move.column_begin) * sizeof(T));
}

// Carries the moves of one tensor at a time through host memory: gather the old one from all ranks, grow it, keep this
// rank's part of the new one.
template <typename T>
class TensorGrower {
 public:
  TensorGrower(ProcessGrid& grid, const ParamStore& from, ParamStore& to) : grid_(grid), from_(from), to_(to) {}

  // `moves` are those of one tensor. New entries are drawn from `stream`.
  void grow_weights(std::span<const GrowthMove> moves, const RandomStream& stream) {
    HostTensor<T> grown = grow(moves, from_.master(), &stream);
    to_.set_weights(moves[0].to, grown.box(grown.spec.local).data());
  }

  // New entries are zero.
  void grow_moment(std::span<const GrowthMove> moves, const Tensor& from_flat, const Tensor& to_flat) {
    HostTensor<T> grown = grow(moves, from_flat, nullptr);
    for (const ParamPiece& piece : state_pieces(to_.table()))
      if (piece.param == moves[0].to)
        to_.backend().copy_in(to_flat.flat(piece.state_offset, piece.box.count()), grown.box(piece.box).data());
  }

 private:
  HostTensor<T> grow(std::span<const GrowthMove> moves, const Tensor& from_flat, const RandomStream* stream) {
    HostTensor<T> old(from_.table()[moves[0].from]), grown(to_.table()[moves[0].to]);
    const Buffer whole = gather_tensor(grid_.world(), from_, from_flat, moves[0].from);
    std::memcpy(old.values.data(), whole.data(), static_cast<size_t>(whole.size_bytes()));
    for (const GrowthMove& move : moves) {
      if (move.fill == Fill::kCopy) copy_block(old, grown, move);
      if (move.fill == Fill::kNormal && stream != nullptr) fill_normal(grown, move, *stream);
    }
    return grown;
  }

  ProcessGrid& grid_;
  const ParamStore& from_;
  ParamStore& to_;
};

// A bucket of which no tensor grows is cut as before, so that every rank keeps what it has: embedding and head, the
// largest tensors by far.
bool same_bucket(const ParamTable& from, const Bucket& a, const ParamTable& to, const Bucket& b) {
  if (a.first != b.first || a.end != b.end || a.count != b.count) return false;
  for (int index = a.first; index < a.end; ++index)
    if (from[index].name != to[index].name || !(from[index].shape() == to[index].shape())) return false;
  return true;
}

void copy_bucket(const ParamStore& from, const Bucket& a, ParamStore& to, const Bucket& b,
                 const GrowthOptions& options) {
  Backend& backend = to.backend();
  backend.run(ops::Copy{.from = from.compute().flat(a.offset, a.count), .to = to.compute().flat(b.offset, b.count)});
  const int64_t parts = to.table().sharding().zero ? to.table().sharding().dp_size : 1;
  auto copy_state = [&](const Tensor& old_state, const Tensor& state) {
    if (!old_state.defined() || !state.defined()) return;
    backend.run(ops::Copy{.from = old_state.flat(a.offset / parts, a.count / parts),
                          .to = state.flat(b.offset / parts, b.count / parts)});
  };
  if (to.master().data != to.compute().data) copy_state(from.master(), to.master());
  if (options.moments == MomentPolicy::kKeep) copy_state(from.moment1(), to.moment1());
  if (options.moments != MomentPolicy::kReset) copy_state(from.moment2(), to.moment2());
}

template <typename T>
void grow_all(ProcessGrid& grid, const std::vector<GrowthMove>& moves, const GrowthOptions& options, uint64_t seed,
              int growth_number, const ParamStore& from, ParamStore& to) {
  const std::vector<Bucket> old_buckets = from.table().buckets(), buckets = to.table().buckets();
  std::vector<bool> done(static_cast<size_t>(to.table().size()), false);
  for (size_t i = 0; i < std::min(buckets.size(), old_buckets.size()); ++i) {
    if (!same_bucket(from.table(), old_buckets[i], to.table(), buckets[i])) continue;
    copy_bucket(from, old_buckets[i], to, buckets[i], options);
    for (int index = buckets[i].first; index < buckets[i].end; ++index) done[static_cast<size_t>(index)] = true;
  }
  TensorGrower<T> grower(grid, from, to);
  const bool moments = from.moment1().defined() && to.moment1().defined();
  for (size_t begin = 0; begin < moves.size();) {
    size_t end = begin;
    while (end < moves.size() && moves[end].to == moves[begin].to) ++end;
    const std::span<const GrowthMove> of_tensor(&moves[begin], end - begin);
    begin = end;
    const int index = of_tensor[0].to;
    if (done[static_cast<size_t>(index)]) continue;
    grower.grow_weights(of_tensor,
                        RandomStream(seed, to.table()[index].name + fmt::format("#growth{}", growth_number)));
    if (moments && options.moments == MomentPolicy::kKeep) grower.grow_moment(of_tensor, from.moment1(), to.moment1());
    if (moments && options.moments != MomentPolicy::kReset) grower.grow_moment(of_tensor, from.moment2(), to.moment2());
  }
}

std::map<Width, int64_t> growable_widths(const ModelConfig& config) {
  std::map<Width, int64_t> widths;
  for (const Width& width : config.growable_widths()) widths[width] = config.width(width);
  return widths;
}

}  // namespace

ModelConfig grown_config(const ModelConfig& config, const GrowthOptions& options) {
  ModelConfig grown = config;
  for (const auto& [width, extent] : options.widths) grown.set_width(width, extent);
  // The published Tokenformer scales by the grown number of tokens; only the fixed-scale policy leaves the function as
  // it was.
  if (options.init == GrowthInit::kReleased || options.init == GrowthInit::kZeroKey) {
    for (const ModelKey& key : architecture(grown.arch).keys())
      if (!key.at_birth.empty()) grown.counts[key.name] = grown.count(key.at_birth);
  }
  grown.validate();
  return grown;
}

void apply_growth(ProcessGrid& grid, const std::vector<GrowthMove>& moves, const GrowthOptions& options, uint64_t seed,
                  int growth_number, const ParamStore& from, ParamStore& to) {
  NX_CHECK(from.wide_dtype() == to.wide_dtype() && from.table().sharding() == to.table().sharding());
  if (to.moment1().defined()) {
    to.backend().run(ops::Zero{to.moment1()});
    to.backend().run(ops::Zero{to.moment2()});
  }
  if (from.wide_dtype() == DType::kF64)
    grow_all<double>(grid, moves, options, seed, growth_number, from, to);
  else
    grow_all<float>(grid, moves, options, seed, growth_number, from, to);
}

Generation first_generation(const ModelConfig& config) {
  return {growable_widths(config), 0, 0};
}

std::vector<Generation> grown_generations(std::vector<Generation> generations, const ModelConfig& config,
                                          const GrowthOptions& options) {
  for (Generation& generation : generations) {
    if (options.moments != MomentPolicy::kKeep) generation.updates1 = 0;
    if (options.moments == MomentPolicy::kReset) generation.updates2 = 0;
  }
  generations.push_back(first_generation(config));
  return generations;
}

}  // namespace nexus
