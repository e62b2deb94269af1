// The shape and type rules of backend.h, in one place: every back end checks its arguments with these functions, so
// that a dry run on a login node refuses what the device would refuse. A mismatch is a bug (NX_CHECK,
// ErrorKind::kInternal).
#pragma once

#include <vector>

#include "backend/backend.h"

namespace nexus::shapes {

void check_copy(const Tensor& from, const Tensor& to);
void check_add(const Tensor& x, const Tensor& y);
void check_add_sum(const Tensor& x, const Tensor& total);
void check_copy_matrix(const Mat& from, const Mat& to);
void check_matmul(const Mat& a, const Mat& b, const Mat& c, float beta);

void check_norm_gelu_forward(const NormGelu& op, const Tensor& h, const Tensor& a, const Tensor& row_scale);
void check_norm_gelu_backward(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                              const Tensor& dh);
void check_row_sum_squares(const Tensor& h, const Tensor& sums);
void check_norm_gelu_forward_from(const NormGelu& op, const Tensor& h, const Tensor& sums, const Tensor& a,
                                  const Tensor& row_scale);
void check_norm_gelu_backward_sums(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                                   const Tensor& sums);
void check_norm_gelu_backward_from(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                                   const Tensor& sums, const Tensor& dh);
void check_gate(GateKind gate, const Tensor& h, const Tensor& a);
void check_add_norm_forward(const Tensor& x, const Tensor& delta, const Tensor& weight, const Tensor& y,
                            const Tensor& stats);
void check_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& stats, const Tensor& dx,
                         const Tensor& dweight);

void check_rope(const Rope& op, const Tensor& x);
void check_attention_forward(const Attention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                             const Tensor& logsumexp);
void check_attention_backward(const Attention& op, const Tensor& dout, const Tensor& q, const Tensor& k,
                              const Tensor& v, const Tensor& out, const Tensor& logsumexp, const Tensor& scratch,
                              const Tensor& dq, const Tensor& dk, const Tensor& dv);

void check_embedding_forward(const Tensor& tokens, const Tensor& weight, int64_t first_token, const Tensor& out);
void check_embedding_backward(const Tensor& tokens, const Tensor& dout, int64_t first_token, const Tensor& dweight);
void check_cross_entropy(const Tensor& logits, const Tensor& targets, const Tensor& losses);
void check_cross_entropy_stats(const Tensor& logits, const Tensor& targets, int64_t first_token, const Tensor& stats);
void check_cross_entropy_from(const Tensor& logits, const Tensor& targets, int64_t first_token, const Tensor& all_stats,
                              const Tensor& losses);

void check_sum_squares(const Tensor& x, const std::vector<FlatRange>& ranges, const Tensor& out);
void check_adamw(const AdamW& op, const std::vector<UpdateBlock>& blocks, const Tensor& grad_sum_squares,
                 const Tensor& grad, const Tensor& moment1, const Tensor& moment2, const Tensor& master,
                 const Tensor& compute, const Tensor& nonfinite);

// The groups of a Nexus-Rank activation: h is [rows, width] (one group) or [rows, groups, width].
struct GroupedRows {
  int64_t rows = 0, groups = 1, width = 0;
};
GroupedRows grouped_rows(const Tensor& h);

}  // namespace nexus::shapes
