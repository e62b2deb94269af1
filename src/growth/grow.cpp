#include "growth/grow.h"

#include <cstring>

#include "core/rng.h"

namespace nexus {
namespace {

// Host copies of one tensor of the old and of the grown model, in element type T.
template <typename T>
struct TensorPair {
  std::vector<T> from, to;
  int64_t from_columns = 0, to_columns = 0;
};

template <typename T>
void fill_normal(TensorPair<T>& pair, const GrowthMove& move, const RandomStream& stream) {
  for (int64_t r = move.row_begin; r < move.row_end; ++r)
    for (int64_t c = move.column_begin; c < move.column_end; ++c) {
      const int64_t index = r * pair.to_columns + c;
      pair.to[static_cast<size_t>(index)] = static_cast<T>(move.std * stream.normal(static_cast<uint64_t>(index)));
    }
}

template <typename T>
void copy_block(TensorPair<T>& pair, const GrowthMove& move) {
  for (int64_t r = move.row_begin; r < move.row_end; ++r)
    std::memcpy(&pair.to[static_cast<size_t>(r * pair.to_columns + move.column_begin)],
                &pair.from[static_cast<size_t>(r * pair.from_columns + move.column_begin)],
                static_cast<size_t>(move.column_end - move.column_begin) * sizeof(T));
}

// One flat buffer (master or a moment) of both stores.
template <typename T>
class FlatGrower {
 public:
  FlatGrower(const ParamStore& from, ParamStore& to) : from_(from), to_(to) {}

  // `stream_suffix` empty: new entries are zero whatever the move says (moments).
  void grow(const std::vector<GrowthMove>& moves, const Tensor& from_flat, const Tensor& to_flat, uint64_t seed,
            const std::string& stream_suffix) {
    for (size_t i = 0; i < moves.size();) {
      const ParamSpec &old_spec = from_.table()[moves[i].from], &new_spec = to_.table()[moves[i].to];
      TensorPair<T> pair;
      pair.from.resize(static_cast<size_t>(old_spec.count()));
      pair.to.assign(static_cast<size_t>(new_spec.count()), T(0));
      pair.from_columns = old_spec.axes.back().extent;
      pair.to_columns = new_spec.axes.back().extent;
      from_.backend().copy_out(pair.from.data(), from_flat.flat(old_spec.offset, old_spec.count()));
      const RandomStream stream(seed, new_spec.name + stream_suffix);
      const int tensor = moves[i].to;
      for (; i < moves.size() && moves[i].to == tensor; ++i) {
        if (moves[i].fill == Fill::kCopy) copy_block(pair, moves[i]);
        if (moves[i].fill == Fill::kNormal && !stream_suffix.empty()) fill_normal(pair, moves[i], stream);
      }
      to_.backend().copy_in(to_flat.flat(new_spec.offset, new_spec.count()), pair.to.data());
    }
  }

 private:
  const ParamStore& from_;
  ParamStore& to_;
};

template <typename T>
void grow_all(const std::vector<GrowthMove>& moves, const GrowthOptions& options, uint64_t seed, int growth_number,
              const ParamStore& from, ParamStore& to) {
  FlatGrower<T> grower(from, to);
  grower.grow(moves, from.master(), to.master(), seed, fmt::format("#growth{}", growth_number));
  if (!from.moment1().defined() || !to.moment1().defined()) return;
  if (options.moments == MomentPolicy::kKeep) grower.grow(moves, from.moment1(), to.moment1(), seed, "");
  if (options.moments != MomentPolicy::kReset) grower.grow(moves, from.moment2(), to.moment2(), seed, "");
}

std::map<Width, int64_t> growable_widths(const ModelConfig& config) {
  std::map<Width, int64_t> widths;
  for (const Width width : kGrowableWidths) widths[width] = config.width(width);
  return widths;
}

}  // namespace

ModelConfig grown_config(const ModelConfig& config, const GrowthOptions& options) {
  ModelConfig grown = config;
  for (const auto& [width, extent] : options.widths) grown.set_width(width, extent);
  // The published Tokenformer scales by the grown number of tokens; only the fixed-scale policy leaves the function as
  // it was.
  if (options.init == GrowthInit::kReleased || options.init == GrowthInit::kZeroKey) {
    grown.scale_qkv = grown.n_qkv;
    grown.scale_proj = grown.n_proj;
    grown.scale_ffn = grown.n_ffn;
  }
  grown.validate();
  return grown;
}

void apply_growth(const std::vector<GrowthMove>& moves, const GrowthOptions& options, uint64_t seed, int growth_number,
                  const ParamStore& from, ParamStore& to) {
  NX_CHECK(from.wide_dtype() == to.wide_dtype());
  if (to.moment1().defined()) {
    to.backend().zero(to.moment1());
    to.backend().zero(to.moment2());
  }
  if (from.wide_dtype() == DType::kF64)
    grow_all<double>(moves, options, seed, growth_number, from, to);
  else
    grow_all<float>(moves, options, seed, growth_number, from, to);
  to.refresh_compute();
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
