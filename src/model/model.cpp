#include "model/model.h"

#include "layers/tensor_parallel.h"
#include "model/architecture.h"
#include "model/workload.h"

namespace nexus {
namespace {

LayerContext with_pass(const LayerContext& ctx, Pass pass, const Tensor& lengths) {
  NX_CHECK((ctx.tp == nullptr ? 1 : ctx.tp->size()) == ctx.tp_size(), "the context has another tp group");
  NX_CHECK(ctx.rows() % (ctx.sequence_parallel() ? ctx.tp_size() : 1) == 0, "{} rows", ctx.rows());
  LayerContext result = ctx;
  result.pass = pass;
  result.lengths = lengths;
  return result;
}

ModelConfig validated(ModelConfig config, const Sharding& sharding) {
  config.validate();
  config.check_tensor_parallel(sharding.tp_size);
  return config;
}

// The next layer opens a bucket: its gradients are final at another time than those before.
ParamTable& new_bucket(ParamTable& table) {
  table.close_bucket();
  return table;
}

std::vector<Block> make_blocks(const ModelConfig& config, ParamTable& table) {
  std::vector<Block> blocks;
  for (int64_t layer = 0; layer < config.layers; ++layer)
    blocks.push_back(make_block(config, layer, new_bucket(table)));
  return blocks;
}

}  // namespace

Model::Model(const ModelConfig& config, const Sharding& sharding)
    : config_(validated(config, sharding)),
      table_(sharding),
      input_(workload(config_.workload).input_layer(config_, table_)),
      blocks_(make_blocks(config_, table_)),
      norm_(make_final_norm(config_, new_bucket(table_))),
      output_(workload(config_.workload).output_layer(config_, *input_, table_)) {}

BatchFields Model::batch_fields(int64_t positions, int64_t outputs) const {
  return joined(input_->fields(positions), output_->fields(outputs));
}

Tensor Model::forward(const LayerContext& ctx, const Batch& batch) {
  const Shape shape{ctx.stream_rows(), config_.d};
  const Tensor normed = ctx.alloc(shape);
  ResidualStream stream{ctx.alloc(shape), {}};
  if (ctx.sequence_parallel()) {
    stream.normed = normed;
    stream.partial = ctx.alloc({ctx.rows(), config_.d});
  }
  const Tensor spare = ctx.pass == Pass::kEvaluation ? ctx.alloc(shape) : Tensor{};
  const Tensor embedded = ctx.sequence_parallel() ? stream.partial : stream.x;
  input_->forward(ctx, batch, embedded);
  reduce_rows(ctx, embedded, stream.x);
  LayerContext block_ctx = ctx;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (ctx.ragged != nullptr && !ctx.ragged->cache.empty()) block_ctx.cache = ctx.ragged->cache[i];
    blocks_[i].forward(block_ctx, stream, spare);
  }
  norm_.forward(ctx, stream, normed);
  return gather_rows(ctx, normed);
}

void Model::backward(const LayerContext& ctx, const Batch& batch, const Tensor& dout, const GradsReady& ready) {
  const auto announce = [&](int bucket) {
    if (ready) ready(bucket);
  };
  const int blocks = static_cast<int>(blocks_.size());
  const Shape shape{ctx.stream_rows(), config_.d};
  const Tensor dx = ctx.alloc(shape);
  const Tensor dnormed = ctx.sequence_parallel() ? ctx.alloc(shape) : dout;
  reduce_rows(ctx, dout, dnormed);
  ctx.backend.run(ops::Zero{dx});
  norm_.backward(ctx, dnormed, dx);
  announce(blocks + 1);
  for (int i = blocks - 1; i >= 0; --i) {
    blocks_[static_cast<size_t>(i)].backward(ctx, dx);
    announce(i + 1);
  }
  const Arena::Frame frame(ctx.arena);
  input_->backward(ctx, batch, gather_rows(ctx, dx));
  announce(0);
}

void Model::forward_backward(const LayerContext& ctx, const Batch& batch, double grad_scale, const Tensor& losses,
                             const GradsReady& ready) {
  const Arena::Frame frame(ctx.arena);
  const LayerContext training = with_pass(ctx, Pass::kTraining, input_->lengths(batch));
  const Tensor normed = forward(training, batch);
  output_->forward_backward(training, normed, batch, grad_scale, losses);
  backward(training, batch, normed, ready);  // the output layer left the gradient in `normed`
}

void Model::evaluate(const LayerContext& ctx, const Batch& batch, const Tensor& figures) {
  const Arena::Frame frame(ctx.arena);
  const LayerContext evaluation = with_pass(ctx, Pass::kEvaluation, input_->lengths(batch));
  output_->evaluate(evaluation, forward(evaluation, batch), batch, figures);
}

void Model::forward_to_outputs(const LayerContext& ctx, const Batch& batch,
                               const std::function<void(const LayerContext&, const Tensor&)>& use) {
  const Arena::Frame frame(ctx.arena);
  LayerContext evaluation = with_pass(ctx, Pass::kEvaluation, input_->lengths(batch));
  const Tensor normed = forward(evaluation, batch);
  if (ctx.ragged == nullptr) return use(evaluation, normed);
  const Tensor& outputs = ctx.ragged->outputs;
  evaluation.context = outputs.count();
  const Tensor chosen = ctx.alloc({outputs.count(), config_.d});
  ctx.backend.run(ops::EmbeddingForward{.tokens = outputs, .weight = normed, .out = chosen});
  use(evaluation, chosen);
}

void Model::predict(const LayerContext& ctx, const Batch& batch, const Tensor& out) {
  forward_to_outputs(ctx, batch, [&](const LayerContext& evaluation, const Tensor& x) {
    output_->predict(evaluation, x, batch, out);
  });
}

void Model::softmax_statistics(const LayerContext& ctx, const Batch& batch, const Tensor& out) {
  forward_to_outputs(ctx, batch, [&](const LayerContext& evaluation, const Tensor& x) {
    output_->softmax_statistics(evaluation, x, batch, out);
  });
}

}  // namespace nexus
