// All CUDA kernels of nexus: their entry points. Arguments mean what backend/backend.h says and have been checked by
// backend/shapes.h; compute types are f32 and bf16, statistics and parameter gradients f32. Calls launch and return.
//
// One family per .cu: kernel, launcher, entry points. Results are deterministic: no atomics on floating-point values.
#pragma once

#include <vector>

#include "backend/backend.h"
#include "cuda/queue.h"

namespace nexus::cuda {

// --- elementwise.cu
void zero(const Tensor& x, Queue& queue);
void copy(const Tensor& from, const Tensor& to, Queue& queue);
void add(const Tensor& x, const Tensor& y, Queue& queue);
void copy_matrix(const Mat& from, const Mat& to, Queue& queue);

// --- matmul_fallback.cu: what cuBLASLt refuses (cuda/matmul.h)
void matmul_fallback(const Mat& a, const Mat& b, const Mat& c, float beta, Queue& queue);

// --- sums.cu
void add_sum(const Tensor& x, const Tensor& total, Queue& queue);
void sum_squares(const Tensor& x, const std::vector<FlatRange>& ranges, const Tensor& out, Queue& queue);

// --- norm_gelu.cu
void norm_gelu_forward(const NormGelu& op, const Tensor& h, const Tensor& a, const Tensor& row_scale, Queue& queue);
void norm_gelu_backward(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                        const Tensor& dh, Queue& queue);
void row_sum_squares(const Tensor& h, const Tensor& sums, Queue& queue);
void norm_gelu_forward_from(const NormGelu& op, const Tensor& h, const Tensor& sums, const Tensor& a,
                            const Tensor& row_scale, Queue& queue);
void norm_gelu_backward_sums(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                             const Tensor& sums, Queue& queue);
void norm_gelu_backward_from(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                             const Tensor& sums, const Tensor& dh, Queue& queue);

// --- gate.cu
void gate_forward(GateKind gate, GeluKind gelu, const Tensor& h, const Tensor& a, Queue& queue);
void gate_backward(GateKind gate, GeluKind gelu, const Tensor& da, const Tensor& h, const Tensor& dh, Queue& queue);

// --- row_norm.cu, row_norm_backward.cu
void add_norm_forward(const RowNorm& op, const Tensor& x, const Tensor& delta, const Tensor& weight, const Tensor& y,
                      const Tensor& stats, Queue& queue);
void norm_backward(const RowNorm& op, const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& stats,
                   const Tensor& dx, const Tensor& dweight, Queue& queue);

// --- rope.cu
void rope(const Rope& op, const Tensor& x, bool inverse, Queue& queue);

// --- attention.cu, attention_backward.cu: what cuDNN cannot do (f32, odd head sizes), and its checked fallback
void attention_forward(const Attention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                       const Tensor& logsumexp, Queue& queue);
void attention_backward(const Attention& op, const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                        const Tensor& out, const Tensor& logsumexp, const Tensor& scratch, const Tensor& dq,
                        const Tensor& dk, const Tensor& dv, Queue& queue);

// --- embedding.cu
void embedding_forward(const Tensor& tokens, const Tensor& weight, int64_t first_token, const Tensor& out,
                       Queue& queue);
void embedding_backward(const Tensor& tokens, const Tensor& dout, int64_t first_token, const Tensor& dweight,
                        Queue& queue);

// --- loss.cu
void cross_entropy(const Tensor& logits, const Tensor& targets, const Tensor& losses, float grad_scale, Queue& queue);
void cross_entropy_stats(const Tensor& logits, const Tensor& targets, int64_t first_token, const Tensor& stats,
                         Queue& queue);
void cross_entropy_from(const Tensor& logits, const Tensor& targets, int64_t first_token, const Tensor& all_stats,
                        const Tensor& losses, float grad_scale, Queue& queue);

// --- optimizer.cu
void adamw(const AdamW& op, const std::vector<UpdateBlock>& blocks, const Tensor& grad_sum_squares, const Tensor& grad,
           const Tensor& moment1, const Tensor& moment2, const Tensor& master, const Tensor& compute,
           const Tensor& nonfinite, Queue& queue);

}  // namespace nexus::cuda
