#include "layers/row_norm.h"

#include <utility>

namespace nexus {

RowNormLayer::RowNormLayer(ParamTable& table, const std::string& weight_name, int64_t d, RowNorm op) : op_(op) {
  if (weight_name.empty()) return;
  ParamSpec spec;
  spec.name = weight_name;
  spec.axes = {Axis{d}};
  spec.init = Init::kOnes;
  spec.decay = false;
  weight_ = table.add(spec);
}

void RowNormLayer::forward(const LayerContext& ctx, ResidualStream& stream, const Tensor& y) {
  const ForwardScope scope(ctx);
  // Training keeps every norm's input, so the sum goes into the branch's own output, which nobody else needs; an
  // evaluation adds in place and uses two buffers throughout.
  if (ctx.pass == Pass::kTraining && stream.pending.defined()) std::swap(stream.x, stream.pending);
  stats_ = ctx.alloc_wide({stream.x.shape[0], 2});
  const Tensor weight = weight_ < 0 ? Tensor{} : ctx.params.weight(weight_);
  ctx.backend.run(ops::AddNormForward{
      .options = op_, .x = stream.x, .delta = stream.pending, .weight = weight, .y = y, .stats = stats_});
  stream.pending = Tensor{};
  x_ = stream.x;
}

void RowNormLayer::backward(const LayerContext& ctx, const Tensor& dy, const Tensor& dx) {
  const Tensor weight = weight_ < 0 ? Tensor{} : ctx.params.weight(weight_);
  const Tensor dweight = weight_ < 0 ? Tensor{} : ctx.params.grad(weight_);
  ctx.backend.run(ops::NormBackward{
      .options = op_, .dy = dy, .x = x_, .weight = weight, .stats = stats_, .dx = dx, .dweight = dweight});
}

}  // namespace nexus
