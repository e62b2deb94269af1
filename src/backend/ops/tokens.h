// Where token ids come in: embedding and cross-entropy. tokens, targets are i32 [rows]. The weight (or the logits) may
// be a slice of the vocabulary that begins at `first_token`: tokens outside it give zero rows, and no gradient.
// Negative tokens, and targets that are neither -1 nor in the vocabulary, are refused on the CPU. A GPU cannot look
// before it launches: such a token gives a zero row there, such a target a loss of NaN.
#pragma once

#include <algorithm>

#include "backend/ops/operation.h"

namespace nexus::ops {

struct EmbeddingForward {
  Tensor tokens, weight;
  int64_t first_token = 0;
  Tensor out;

  void check() const {
    NX_CHECK(first_token >= 0, "the vocabulary begins at {}", first_token);
    check_float(weight);
    NX_CHECK(weight.shape.rank() == 2, "{}", weight.shape.str());
    NX_CHECK(tokens.dtype == DType::kI32, "tokens are {}", name_of(tokens.dtype));
    check_is(out, weight.dtype, {tokens.count(), weight.shape[1]});
  }
  // One row of the weight is read for each that is written.
  Cost cost() const { return {.family = "embedding", .bytes = bytes_of(tokens, out, out)}; }
};

// dweight +=
struct EmbeddingBackward {
  Tensor tokens, dout;
  int64_t first_token = 0;
  Tensor dweight;

  void check() const {
    NX_CHECK(first_token >= 0, "the vocabulary begins at {}", first_token);
    check_float(dout);
    NX_CHECK(tokens.dtype == DType::kI32, "tokens are {}", name_of(tokens.dtype));
    NX_CHECK(dout.shape.rank() == 2 && dout.shape[0] == tokens.count(), "{} of {} tokens", dout.shape.str(),
             tokens.count());
    NX_CHECK(dweight.shape.rank() == 2, "{}", dweight.shape.str());
    check_wide(dweight, dout.dtype, {dweight.shape[0], dout.shape[1]});
  }
  // The gradients of the rows that the tokens name, read and written; at most the whole matrix.
  Cost cost() const {
    const double rows = static_cast<double>(std::min(tokens.count(), dweight.shape[0]));
    const double row_bytes = static_cast<double>(dweight.shape[1] * size_of(dweight.dtype));
    return {.family = "embedding", .bytes = bytes_of(tokens, dout) + 2 * rows * row_bytes};
  }
};

// losses (wide [rows]) = -log softmax(logits)[target]. If grad_scale != 0, logits [rows, V] become their own gradient
// times grad_scale. A target of -1 is ignored: loss and gradient 0.
struct CrossEntropy {
  Tensor logits, targets, losses;
  double grad_scale = 0;

  void check() const {
    check_logits(logits, targets);
    NX_CHECK(losses.dtype == wide_of(logits.dtype) && losses.count() == logits.shape[0], "{} losses for {}",
             losses.count(), logits.shape.str());
  }
  // Logits are read, and written where they become their gradient.
  Cost cost() const {
    return {.family = "loss", .bytes = bytes_of(logits) * (grad_scale != 0 ? 2 : 1) + bytes_of(targets, losses)};
  }

  static void check_logits(const Tensor& logits, const Tensor& targets) {
    check_float(logits);
    NX_CHECK(logits.shape.rank() == 2, "{}", logits.shape.str());
    NX_CHECK(targets.dtype == DType::kI32 && targets.count() == logits.shape[0], "{} targets for {}", targets.count(),
             logits.shape.str());
  }
};

// --- the same in two halves, for logits [rows, V_local] that are split over ranks

// stats, wide [rows, 3]: the row's maximum, sum(exp(logit - maximum)), and the target's logit (0 if another rank has
// it, or none).
struct CrossEntropyStats {
  Tensor logits, targets;
  int64_t first_token = 0;
  Tensor stats;

  void check() const {
    CrossEntropy::check_logits(logits, targets);
    NX_CHECK(first_token >= 0, "the vocabulary begins at {}", first_token);
    check_wide(stats, logits.dtype, {logits.shape[0], 3});
  }
  Cost cost() const { return {.family = "loss", .bytes = bytes_of(logits, targets, stats)}; }
};

// all_stats is [ranks, rows, 3] in rank order; it is combined in that order, so losses agree on every rank.
struct CrossEntropyFrom {
  Tensor logits, targets;
  int64_t first_token = 0;
  Tensor all_stats, losses;
  double grad_scale = 0;

  void check() const {
    whole().check();
    NX_CHECK(first_token >= 0, "the vocabulary begins at {}", first_token);
    NX_CHECK(all_stats.shape.rank() == 3 && all_stats.shape[0] >= 1, "{} is not [ranks, rows, 3]",
             all_stats.shape.str());
    check_wide(all_stats, logits.dtype, {all_stats.shape[0], logits.shape[0], 3});
  }
  Cost cost() const { return {.family = "loss", .bytes = whole().cost().bytes + bytes_of(all_stats)}; }

 private:
  CrossEntropy whole() const { return {logits, targets, losses, grad_scale}; }
};

using Tokens = List<EmbeddingForward, EmbeddingBackward, CrossEntropy, CrossEntropyStats, CrossEntropyFrom>;

}  // namespace nexus::ops
