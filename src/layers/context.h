// What every layer's forward and backward pass receives, and the life of activations.
//
// A training pass keeps what its backward pass needs: each layer allocates it from the arena and remembers it until the
// micro-batch's frame ends. An evaluation pass has no backward, so a layer frees everything but its output when its
// forward ends. Outputs belong to the caller, who passes them in. With Recompute::kActivations a training pass keeps
// what goes into an activation and not what comes out, which the backward pass computes again.
#pragma once

#include <optional>

#include "comm/communicator.h"
#include "layers/ragged.h"
#include "layers/recompute.h"
#include "params/param_store.h"
#include "tensor/arena.h"

namespace nexus {

enum class Pass { kTraining, kEvaluation };

struct LayerContext {
  Backend& backend;
  Arena& arena;
  ParamStore& params;
  int64_t batch = 0, context = 0;          // B sequences of T tokens; rows are the B * T tokens, sequence by sequence
  Pass pass = Pass::kTraining;             // set by the model's entry points
  Communicator* tp = nullptr;              // the ranks that share the tensors of `params`; null where that is one
  Recompute recompute = Recompute::kNone;  // of a training pass; the same in its forward and its backward half
  // i32 [B], set by the model's entry points: of a sample only so many rows mean something. Undefined: all of them.
  Tensor lengths = {};
  // Rows of an evaluation that are no batch of equal sequences: `batch` is 1, and `context` their number.
  const RaggedRows* ragged = nullptr;
  Tensor cache = {};  // this layer's of `ragged`, set by the model

  int64_t rows() const { return batch * context; }
  int tp_size() const { return params.table().sharding().tp_size; }
  // Sequence parallelism: the residual stream and the norms hold an equal share of the rows on every rank.
  bool sequence_parallel() const { return params.table().sharding().sequence && tp_size() > 1; }
  int64_t stream_rows() const { return sequence_parallel() ? rows() / tp_size() : rows(); }
  // The backward pass finds the activations of the forward pass.
  bool keeps_activations() const { return pass == Pass::kTraining && recompute == Recompute::kNone; }
  // Memory of the compute type, and of the type of statistics and losses.
  Tensor alloc(Shape shape) const { return arena.alloc(params.compute_dtype(), shape); }
  Tensor alloc_wide(Shape shape) const { return arena.alloc(params.wide_dtype(), shape); }
};

// Scope of a layer's forward pass: what is allocated inside lasts in a training pass and is freed in an evaluation.
class ForwardScope {
 public:
  explicit ForwardScope(const LayerContext& ctx) {
    if (ctx.pass == Pass::kEvaluation) frame_.emplace(ctx.arena);
  }

 private:
  std::optional<Arena::Frame> frame_;
};

// Scope of one activation and of the product that reads it, in either pass. What outlives it is allocated before.
class ActivationScope {
 public:
  explicit ActivationScope(const LayerContext& ctx) {
    if (!ctx.keeps_activations()) frame_.emplace(ctx.arena);
  }

 private:
  std::optional<Arena::Frame> frame_;
};

}  // namespace nexus
