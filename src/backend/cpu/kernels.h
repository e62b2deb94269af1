// All CPU kernels. Each is a template over the storage scalar T, instantiated for float, Bf16 and double in the file
// that defines it; arguments mean what backend.h says and have been checked by backend/shapes.h.
#pragma once

#include <vector>

#include "backend/backend.h"

namespace nexus::cpu {

// --- elementwise.cpp: dispatch on the types of both operands themselves
void zero(const Tensor& x);
void copy(const Tensor& from, const Tensor& to);
void add(const Tensor& x, const Tensor& y);
void add_sum(const Tensor& x, const Tensor& total);
void copy_matrix(const Mat& from, const Mat& to);

// --- norm_gelu.cpp
template <typename T>
void norm_gelu_forward(const NormGelu& op, const Tensor& h, const Tensor& a, const Tensor& row_scale);
template <typename T>
void norm_gelu_backward(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                        const Tensor& dh);
template <typename T>
void row_sum_squares(const Tensor& h, const Tensor& sums);
template <typename T>
void norm_gelu_forward_from(const NormGelu& op, const Tensor& h, const Tensor& sums, const Tensor& a,
                            const Tensor& row_scale);
template <typename T>
void norm_gelu_backward_sums(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                             const Tensor& sums);
template <typename T>
void norm_gelu_backward_from(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                             const Tensor& sums, const Tensor& dh);

// --- gate.cpp
template <typename T>
void gate_forward(GateKind gate, GeluKind gelu, const Tensor& h, const Tensor& a);
template <typename T>
void gate_backward(GateKind gate, GeluKind gelu, const Tensor& da, const Tensor& h, const Tensor& dh);

// --- row_norm.cpp
template <typename T>
void add_norm_forward(const RowNorm& op, const Tensor& x, const Tensor& delta, const Tensor& weight, const Tensor& y,
                      const Tensor& stats);
template <typename T>
void norm_backward(const RowNorm& op, const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& stats,
                   const Tensor& dx, const Tensor& dweight);

// --- rope.cpp
template <typename T>
void rope(const Rope& op, const Tensor& x, bool inverse);

// --- attention_forward.cpp, attention_backward.cpp
template <typename T>
void attention_forward(const Attention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                       const Tensor& logsumexp);
template <typename T>
void attention_backward(const Attention& op, const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                        const Tensor& out, const Tensor& logsumexp, const Tensor& scratch, const Tensor& dq,
                        const Tensor& dk, const Tensor& dv);

// --- embedding.cpp
template <typename T>
void embedding_forward(const Tensor& tokens, const Tensor& weight, int64_t first_token, const Tensor& out);
template <typename T>
void embedding_backward(const Tensor& tokens, const Tensor& dout, int64_t first_token, const Tensor& dweight);

// --- loss.cpp
template <typename T>
void cross_entropy(const Tensor& logits, const Tensor& targets, const Tensor& losses, double grad_scale);
template <typename T>
void cross_entropy_stats(const Tensor& logits, const Tensor& targets, int64_t first_token, const Tensor& stats);
template <typename T>
void cross_entropy_from(const Tensor& logits, const Tensor& targets, int64_t first_token, const Tensor& all_stats,
                        const Tensor& losses, double grad_scale);

// --- adamw.cpp: T is the type of `compute` (of the master parameters where there is no copy)
template <typename T>
double sum_squares(const Tensor& x, const std::vector<FlatRange>& ranges);
template <typename T>
void adamw(const AdamW& op, const std::vector<UpdateBlock>& blocks, double grad_sum_squares, const Tensor& grad,
           const Tensor& moment1, const Tensor& moment2, const Tensor& master, const Tensor& compute,
           const Tensor& nonfinite);

}  // namespace nexus::cpu
