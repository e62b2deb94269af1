#include "growth/grow.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

#include "core/rng.h"
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
  const T* at(int64_t row, int64_t column) const { return &values[static_cast<size_t>(row * spec.columns() + column)]; }

  std::vector<T> box(const Box& box) const {
    std::vector<T> out;
    out.reserve(static_cast<size_t>(box.count()));
    for (int64_t row = box.begin_row; row < box.begin_row + box.rows; ++row)
      out.insert(out.end(), at(row, box.begin_column), at(row, box.begin_column) + box.columns);
    return out;
  }
};

// One sum in the order of the tensor, of which every rank has the whole.
template <typename T>
double root_mean_square(const HostTensor<T>& tensor) {
  double sum = 0;
  for (const T value : tensor.values) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum / static_cast<double>(tensor.values.size()));
}

// What of a tensor a growth carries over: each has a factor of its own on what a pick copies.
enum class Part { kWeight, kMoment1, kMoment2 };

double factor_of(const Pick& pick, Part part) {
  if (part == Part::kWeight) return pick.scale;
  return part == Part::kMoment1 ? pick.gradient : pick.gradient * pick.gradient;
}

template <typename T>
double copied(const HostTensor<T>& from, const GrowthMove& move, Part part, int64_t row, int64_t column) {
  double sum = 0;
  for (const Copy& copy : move.entries.copies) {
    const Pick r = copy.rows.empty() ? Pick{row} : copy.rows[static_cast<size_t>(row - move.box.begin_row)];
    const Pick c =
        copy.columns.empty() ? Pick{column} : copy.columns[static_cast<size_t>(column - move.box.begin_column)];
    sum += factor_of(r, part) * factor_of(c, part) * static_cast<double>(*from.at(r.index, c.index));
  }
  return sum;
}

template <typename T>
void fill_block(const HostTensor<T>& from, HostTensor<T>& to, const GrowthMove& move, Part part,
                const RandomStream& stream) {
  const Box& box = move.box;
  if (part != Part::kWeight && !move.with_moments) return;
  if (move.entries.are_same()) {
    for (int64_t r = box.begin_row; r < box.end_row(); ++r)
      std::copy_n(from.at(r, box.begin_column), box.columns, to.at(r, box.begin_column));
    return;
  }
  const double std = part != Part::kWeight ? 0 : move.entries.std * (move.entries.of_rms ? root_mean_square(from) : 1);
  if (std == 0 && move.entries.copies.empty()) return;
#pragma omp parallel for schedule(static)
  for (int64_t r = box.begin_row; r < box.end_row(); ++r)
    for (int64_t c = box.begin_column; c < box.end_column(); ++c) {
      double value = copied(from, move, part, r, c);
      if (std > 0) value += std * stream.normal(static_cast<uint64_t>(r * to.spec.columns() + c));
      *to.at(r, c) = static_cast<T>(value);
    }
}

// Carries the moves of one tensor at a time through host memory: gather the old one from all ranks, grow it, keep this
// rank's part of the new one.
template <typename T>
class TensorGrower {
 public:
  TensorGrower(ProcessGrid& grid, const ParamStore& from, ParamStore& to) : grid_(grid), from_(from), to_(to) {}

  // `moves` are those of one tensor. New entries are drawn from `stream`.
  void grow(std::span<const GrowthMove> moves, const GrowthOptions& options, const RandomStream& stream) {
    const HostTensor<T> weights = grown(moves, from_.master(), Part::kWeight, stream);
    to_.set_weights(moves[0].to, weights.box(weights.spec.local).data());
    if (!from_.moment1().defined() || !to_.moment1().defined()) return;
    if (options.moments == MomentPolicy::kKeep)
      copy_in(grown(moves, from_.moment1(), Part::kMoment1, stream), moves[0].to, to_.moment1());
    if (options.moments != MomentPolicy::kReset)
      copy_in(grown(moves, from_.moment2(), Part::kMoment2, stream), moves[0].to, to_.moment2());
  }

 private:
  HostTensor<T> grown(std::span<const GrowthMove> moves, const Tensor& from_flat, Part part,
                      const RandomStream& stream) {
    HostTensor<T> old(from_.table()[moves[0].from]), result(to_.table()[moves[0].to]);
    const Buffer whole = gather_tensor(grid_.world(), from_, from_flat, moves[0].from);
    std::memcpy(old.values.data(), whole.data(), static_cast<size_t>(whole.size_bytes()));
    for (const GrowthMove& move : moves) fill_block(old, result, move, part, stream);
    return result;
  }

  void copy_in(const HostTensor<T>& moment, int param, const Tensor& flat) {
    for (const ParamPiece& piece : state_pieces(to_.table()))
      if (piece.param == param)
        to_.backend().copy_in(flat.flat(piece.state_offset, piece.box.count()), moment.box(piece.box).data());
  }

  ProcessGrid& grid_;
  const ParamStore& from_;
  ParamStore& to_;
};

// A bucket of which no tensor changes is cut as before, so that every rank keeps what it has: embedding and head, the
// largest tensors by far.
bool same_bucket(const ParamTable& from, const Bucket& a, const ParamTable& to, const Bucket& b,
                 const std::vector<GrowthMove>& moves) {
  if (a.first != b.first || a.end != b.end || a.count != b.count) return false;
  for (int index = a.first; index < a.end; ++index)
    if (from[index].name != to[index].name || !(from[index].shape() == to[index].shape())) return false;
  return std::all_of(moves.begin(), moves.end(), [&](const GrowthMove& move) {
    return move.to < b.first || move.to >= b.end || move.entries.are_same();
  });
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
    if (!same_bucket(from.table(), old_buckets[i], to.table(), buckets[i], moves)) continue;
    copy_bucket(from, old_buckets[i], to, buckets[i], options);
    for (int index = buckets[i].first; index < buckets[i].end; ++index) done[static_cast<size_t>(index)] = true;
  }
  TensorGrower<T> grower(grid, from, to);
  for (size_t begin = 0; begin < moves.size();) {
    size_t end = begin;
    while (end < moves.size() && moves[end].to == moves[begin].to) ++end;
    const std::span<const GrowthMove> of_tensor(&moves[begin], end - begin);
    begin = end;
    const int index = of_tensor[0].to;
    if (done[static_cast<size_t>(index)]) continue;
    grower.grow(of_tensor, options,
                RandomStream(seed, to.table()[index].name + fmt::format("#growth{}", growth_number)));
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
  options.policy->set_constants(grown);
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

NormScales grown_norm_scales(const NormScales& scales, const ModelConfig& config, const GrowthOptions& options) {
  NormScales grown;
  for (const auto& [width, scale] : scales) grown[width] = {scale.squared(), 1, 0};
  const bool at_once = options.policy->scales_norms();
  for (const auto& [width, extent] : options.widths) {
    const double growth = static_cast<double>(extent) / static_cast<double>(config.width(width));
    if (growth == 1 || !(at_once || options.norm_scale)) continue;
    if (at_once)
      grown[width].gain *= growth;
    else
      grown[width].growth = growth;
  }
  return grown;
}

GrowthMasks grown_masks(const ModelConfig& config, const GrowthOptions& options) {
  GrowthMasks masks;
  for (const auto& [width, extent] : options.widths)
    if (const int64_t before = config.width(width); options.mask && extent > before) masks[width] = {before, 0};
  return masks;
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
  Generation grown = first_generation(config);
  if (options.policy->copies_moments()) {
    grown.updates1 = generations[0].updates1;
    grown.updates2 = generations[0].updates2;
  }
  generations.push_back(grown);
  return generations;
}

}  // namespace nexus
