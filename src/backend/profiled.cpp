#include "backend/profiled.h"

namespace nexus {
namespace {

// Causal half of one product of attention over all heads; forward has two products, backward four by the 3x convention.
double attention_product_flops(const Attention& op) {
  return static_cast<double>(op.batch * op.heads * op.context * op.context * op.head_dim);
}

}  // namespace

void ProfiledBackend::copy_in(const Tensor& device, const void* host) {
  timed("memory", 0, [&] { inner_.copy_in(device, host); });
}
void ProfiledBackend::copy_out(void* host, const Tensor& device) {
  timed("memory", 0, [&] { inner_.copy_out(host, device); });
}
void ProfiledBackend::zero(const Tensor& x) {
  timed("memory", 0, [&] { inner_.zero(x); });
}
void ProfiledBackend::copy(const Tensor& from, const Tensor& to) {
  timed("memory", 0, [&] { inner_.copy(from, to); });
}
void ProfiledBackend::add_sum(const Tensor& x, const Tensor& total) {
  timed("memory", 0, [&] { inner_.add_sum(x, total); });
}
void ProfiledBackend::add(const Tensor& x, const Tensor& y) {
  timed("memory", 0, [&] { inner_.add(x, y); });
}
void ProfiledBackend::copy_matrix(const Mat& from, const Mat& to) {
  timed("memory", 0, [&] { inner_.copy_matrix(from, to); });
}
void ProfiledBackend::matmul(const Mat& a, const Mat& b, const Mat& c, float beta) {
  const double flops = 2.0 * static_cast<double>(c.batch * c.rows * c.cols) * static_cast<double>(a.logical_cols());
  timed("matmul", flops, [&] { inner_.matmul(a, b, c, beta); });
}
void ProfiledBackend::norm_gelu_forward(const NormGelu& op, const Tensor& h, const Tensor& a, const Tensor& row_scale) {
  timed("activation", 0, [&] { inner_.norm_gelu_forward(op, h, a, row_scale); });
}
void ProfiledBackend::norm_gelu_backward(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                                         const Tensor& dh) {
  timed("activation", 0, [&] { inner_.norm_gelu_backward(op, da, h, row_scale, dh); });
}
void ProfiledBackend::row_sum_squares(const Tensor& h, const Tensor& sums) {
  timed("activation", 0, [&] { inner_.row_sum_squares(h, sums); });
}
void ProfiledBackend::norm_gelu_forward_from(const NormGelu& op, const Tensor& h, const Tensor& sums, const Tensor& a,
                                             const Tensor& row_scale) {
  timed("activation", 0, [&] { inner_.norm_gelu_forward_from(op, h, sums, a, row_scale); });
}
void ProfiledBackend::norm_gelu_backward_sums(const NormGelu& op, const Tensor& da, const Tensor& h,
                                              const Tensor& row_scale, const Tensor& sums) {
  timed("activation", 0, [&] { inner_.norm_gelu_backward_sums(op, da, h, row_scale, sums); });
}
void ProfiledBackend::norm_gelu_backward_from(const NormGelu& op, const Tensor& da, const Tensor& h,
                                              const Tensor& row_scale, const Tensor& sums, const Tensor& dh) {
  timed("activation", 0, [&] { inner_.norm_gelu_backward_from(op, da, h, row_scale, sums, dh); });
}
void ProfiledBackend::gate_forward(GateKind gate, GeluKind gelu, const Tensor& h, const Tensor& a) {
  timed("activation", 0, [&] { inner_.gate_forward(gate, gelu, h, a); });
}
void ProfiledBackend::gate_backward(GateKind gate, GeluKind gelu, const Tensor& da, const Tensor& h, const Tensor& dh) {
  timed("activation", 0, [&] { inner_.gate_backward(gate, gelu, da, h, dh); });
}
void ProfiledBackend::add_norm_forward(const RowNorm& op, const Tensor& x, const Tensor& delta, const Tensor& weight,
                                       const Tensor& y, const Tensor& stats) {
  timed("norm", 0, [&] { inner_.add_norm_forward(op, x, delta, weight, y, stats); });
}
void ProfiledBackend::norm_backward(const RowNorm& op, const Tensor& dy, const Tensor& x, const Tensor& weight,
                                    const Tensor& stats, const Tensor& dx, const Tensor& dweight) {
  timed("norm", 0, [&] { inner_.norm_backward(op, dy, x, weight, stats, dx, dweight); });
}
void ProfiledBackend::rope(const Rope& op, const Tensor& x, bool inverse) {
  timed("attention", 0, [&] { inner_.rope(op, x, inverse); });
}
void ProfiledBackend::attention_forward(const Attention& op, const Tensor& q, const Tensor& k, const Tensor& v,
                                        const Tensor& out, const Tensor& logsumexp) {
  timed("attention", 2 * attention_product_flops(op), [&] { inner_.attention_forward(op, q, k, v, out, logsumexp); });
}
void ProfiledBackend::attention_backward(const Attention& op, const Tensor& dout, const Tensor& q, const Tensor& k,
                                         const Tensor& v, const Tensor& out, const Tensor& logsumexp,
                                         const Tensor& scratch, const Tensor& dq, const Tensor& dk, const Tensor& dv) {
  timed("attention", 4 * attention_product_flops(op),
        [&] { inner_.attention_backward(op, dout, q, k, v, out, logsumexp, scratch, dq, dk, dv); });
}
void ProfiledBackend::embedding_forward(const Tensor& tokens, const Tensor& weight, int64_t first_token,
                                        const Tensor& out) {
  timed("memory", 0, [&] { inner_.embedding_forward(tokens, weight, first_token, out); });
}
void ProfiledBackend::embedding_backward(const Tensor& tokens, const Tensor& dout, int64_t first_token,
                                         const Tensor& dweight) {
  timed("memory", 0, [&] { inner_.embedding_backward(tokens, dout, first_token, dweight); });
}
void ProfiledBackend::cross_entropy(const Tensor& logits, const Tensor& targets, const Tensor& losses,
                                    float grad_scale) {
  timed("loss", 0, [&] { inner_.cross_entropy(logits, targets, losses, grad_scale); });
}
void ProfiledBackend::cross_entropy_stats(const Tensor& logits, const Tensor& targets, int64_t first_token,
                                          const Tensor& stats) {
  timed("loss", 0, [&] { inner_.cross_entropy_stats(logits, targets, first_token, stats); });
}
void ProfiledBackend::cross_entropy_from(const Tensor& logits, const Tensor& targets, int64_t first_token,
                                         const Tensor& all_stats, const Tensor& losses, float grad_scale) {
  timed("loss", 0, [&] { inner_.cross_entropy_from(logits, targets, first_token, all_stats, losses, grad_scale); });
}
void ProfiledBackend::sum_squares(const Tensor& x, const std::vector<FlatRange>& ranges, const Tensor& out) {
  timed("optimizer", 0, [&] { inner_.sum_squares(x, ranges, out); });
}
void ProfiledBackend::adamw(const AdamW& op, const std::vector<UpdateBlock>& blocks, const Tensor& grad_sum_squares,
                            const Tensor& grad, const Tensor& moment1, const Tensor& moment2, const Tensor& master,
                            const Tensor& compute) {
  timed("optimizer", 0, [&] { inner_.adamw(op, blocks, grad_sum_squares, grad, moment1, moment2, master, compute); });
}

}  // namespace nexus
