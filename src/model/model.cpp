#include "model/model.h"

#include "model/architectures.h"

namespace nexus {
namespace {

LayerContext with_pass(const LayerContext& ctx, Pass pass) {
  LayerContext result = ctx;
  result.pass = pass;
  return result;
}

ModelConfig validated(ModelConfig config) {
  config.validate();
  return config;
}

std::vector<Block> make_blocks(const ModelConfig& config, ParamTable& table) {
  std::vector<Block> blocks;
  for (int64_t layer = 0; layer < config.layers; ++layer) blocks.push_back(make_block(config, layer, table));
  return blocks;
}

Head make_head(const ModelConfig& config, const Embedding& embedding, ParamTable& table) {
  return config.tie ? Head(embedding.param()) : Head(table, "head.weight", config.vocab, config.d);
}

}  // namespace

Model::Model(const ModelConfig& config)
    : config_(validated(config)),
      embedding_(table_, "embed.weight", config_.vocab, config_.d),
      blocks_(make_blocks(config_, table_)),
      norm_(make_final_norm(config_, table_)),
      head_(make_head(config_, embedding_, table_)) {}

Tensor Model::forward(const LayerContext& ctx, const Tensor& tokens) {
  const Shape shape{ctx.rows(), config_.d};
  const Tensor normed = ctx.alloc(shape);
  ResidualStream stream{ctx.alloc(shape), {}};
  const Tensor spare = ctx.pass == Pass::kEvaluation ? ctx.alloc(shape) : Tensor{};
  embedding_.forward(ctx, tokens, stream.x);
  for (Block& block : blocks_) block.forward(ctx, stream, spare);
  norm_.forward(ctx, stream, normed);
  return normed;
}

void Model::backward(const LayerContext& ctx, const Tensor& tokens, const Tensor& dnormed, const GradsReady& ready) {
  const auto announce = [&](int first, int last) {
    if (ready) ready(first, last);
  };
  const Tensor dx = ctx.alloc({ctx.rows(), config_.d});
  ctx.backend.zero(dx);
  norm_.backward(ctx, dnormed, dx);
  announce(blocks_.back().params().end, table_.size());
  for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) {
    block->backward(ctx, dx);
    announce(block->params().first, block->params().end);
  }
  embedding_.backward(ctx, tokens, dx);
  announce(0, blocks_.front().params().first);
}

void Model::forward_backward(const LayerContext& ctx, const Tensor& tokens, const Tensor& targets, float grad_scale,
                             const Tensor& losses, const GradsReady& ready) {
  const Arena::Frame frame(ctx.arena);
  const LayerContext training = with_pass(ctx, Pass::kTraining);
  const Tensor normed = forward(training, tokens);
  head_.forward_backward(training, normed, targets, grad_scale, losses);
  backward(training, tokens, normed, ready);  // the head left the gradient in `normed`
}

void Model::evaluate(const LayerContext& ctx, const Tensor& tokens, const Tensor& targets, const Tensor& losses) {
  const Arena::Frame frame(ctx.arena);
  const LayerContext evaluation = with_pass(ctx, Pass::kEvaluation);
  head_.evaluate(evaluation, forward(evaluation, tokens), targets, losses);
}

void Model::logits(const LayerContext& ctx, const Tensor& tokens, const Tensor& out) {
  const Arena::Frame frame(ctx.arena);
  const LayerContext evaluation = with_pass(ctx, Pass::kEvaluation);
  head_.logits(evaluation, forward(evaluation, tokens), out);
}

}  // namespace nexus
