// The dry back end: same interface and shape checks as a device, no memory and no arithmetic. It counts what a run
// would cost; with a counting Arena it is how `nexus plan` and the trainer learn FLOPs and bytes before anything is
// allocated.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace nexus {

class DryBackend final : public Backend {
 public:
  // Floating-point operations of all matmul calls so far: 2 m n k per product.
  double matmul_flops() const { return matmul_flops_; }
  // Of all attention calls, causal half only: forward 2 B H T T head_dim, backward twice that; recomputing the
  // probabilities is not counted.
  double attention_flops() const { return attention_flops_; }
  // Number of calls of the operation with that name, e.g. calls("matmul"); of all operations together without a name.
  int64_t calls(const std::string& operation) const;
  int64_t calls() const;
  void reset_counts();

  std::string name() const override { return "dry"; }
  std::string description() const override { return "dry (counts, computes nothing)"; }

  // Null data of the right size, so that views can be taken.
  using Backend::allocate;
  Buffer allocate(int64_t size_bytes, const std::string& what) override;
  void copy_in(const Tensor& device, const void* host) override;
  void copy_out(void* host, const Tensor& device) override;  // leaves `host` as it is
  void synchronize() override {}

  void zero(const Tensor& x) override;
  void copy(const Tensor& from, const Tensor& to) override;
  void add(const Tensor& x, const Tensor& y) override;
  void add_sum(const Tensor& x, const Tensor& total) override;
  void copy_matrix(const Mat& from, const Mat& to) override;
  void matmul(const Mat& a, const Mat& b, const Mat& c, float beta) override;
  void norm_gelu_forward(const NormGelu& op, const Tensor& h, const Tensor& a, const Tensor& row_scale) override;
  void norm_gelu_backward(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                          const Tensor& dh) override;
  void row_sum_squares(const Tensor& h, const Tensor& sums) override;
  void norm_gelu_forward_from(const NormGelu& op, const Tensor& h, const Tensor& sums, const Tensor& a,
                              const Tensor& row_scale) override;
  void norm_gelu_backward_sums(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                               const Tensor& sums) override;
  void norm_gelu_backward_from(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                               const Tensor& sums, const Tensor& dh) override;
  void gate_forward(GateKind gate, GeluKind gelu, const Tensor& h, const Tensor& a) override;
  void gate_backward(GateKind gate, GeluKind gelu, const Tensor& da, const Tensor& h, const Tensor& dh) override;
  void add_norm_forward(const RowNorm& op, const Tensor& x, const Tensor& delta, const Tensor& weight, const Tensor& y,
                        const Tensor& stats) override;
  void norm_backward(const RowNorm& op, const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& stats,
                     const Tensor& dx, const Tensor& dweight) override;
  void rope(const Rope& op, const Tensor& x, bool inverse) override;
  void attention_forward(const Attention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                         const Tensor& logsumexp) override;
  void attention_backward(const Attention& op, const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                          const Tensor& out, const Tensor& logsumexp, const Tensor& scratch, const Tensor& dq,
                          const Tensor& dk, const Tensor& dv) override;
  void embedding_forward(const Tensor& tokens, const Tensor& weight, int64_t first_token, const Tensor& out) override;
  void embedding_backward(const Tensor& tokens, const Tensor& dout, int64_t first_token,
                          const Tensor& dweight) override;
  void cross_entropy(const Tensor& logits, const Tensor& targets, const Tensor& losses, double grad_scale) override;
  void cross_entropy_stats(const Tensor& logits, const Tensor& targets, int64_t first_token,
                           const Tensor& stats) override;
  void cross_entropy_from(const Tensor& logits, const Tensor& targets, int64_t first_token, const Tensor& all_stats,
                          const Tensor& losses, double grad_scale) override;
  void sum_squares(const Tensor& x, const std::vector<FlatRange>& ranges, const Tensor& out) override;
  void adamw(const AdamW& op, const std::vector<UpdateBlock>& blocks, const Tensor& grad_sum_squares,
             const Tensor& grad, const Tensor& moment1, const Tensor& moment2, const Tensor& master,
             const Tensor& compute, const Tensor& nonfinite) override;

 private:
  std::map<std::string, int64_t> calls_;
  double matmul_flops_ = 0, attention_flops_ = 0;
};

}  // namespace nexus
