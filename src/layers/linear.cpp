#include "layers/linear.h"

namespace nexus {
namespace {

std::vector<ParamSpec> specs_of(const std::vector<std::string>& prefixes, int64_t d, const std::vector<int64_t>& outs,
                                Place place, const MatrixInit& init) {
  NX_CHECK(place != Place::kMlp, "an MLP is not linear");
  const int shard_axis = place == Place::kQkv ? 0 : 1;
  const double init_std = place == Place::kO ? init.branch_end_std(d) : init.std(d);
  NX_CHECK(prefixes.size() == outs.size(), "{} prefixes, {} outputs", prefixes.size(), outs.size());
  std::vector<ParamSpec> specs;
  for (size_t g = 0; g < outs.size(); ++g)
    specs.push_back(matrix_spec(prefixes[g] + ".weight", fixed_axis(outs[g]), fixed_axis(d), shard_axis, init_std));
  return specs;
}

}  // namespace

Linear::Linear(ParamTable& table, const std::vector<std::string>& prefixes, int64_t d, const std::vector<int64_t>& outs,
               Place place, const MatrixInit& init)
    : matrix_(table, specs_of(prefixes, d, outs, place, init)) {}

void Linear::forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) {
  x_ = x;
  matrix_.forward(ctx, x, y);
}

void Linear::backward(const LayerContext& ctx, const Tensor& dy, const Tensor& dx) {
  matrix_.backward(ctx, dy, x_, dx);
}

}  // namespace nexus
