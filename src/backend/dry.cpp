#include "backend/dry.h"

#include "backend/shapes.h"

namespace nexus {

std::unique_ptr<DryBackend> make_dry_backend() {
  return std::make_unique<DryBackend>();
}

int64_t DryBackend::calls(const std::string& operation) const {
  const auto found = calls_.find(operation);
  return found == calls_.end() ? 0 : found->second;
}

int64_t DryBackend::calls() const {
  int64_t sum = 0;
  for (const auto& [operation, count] : calls_) sum += count;
  return sum;
}

void DryBackend::reset_counts() {
  calls_.clear();
  matmul_flops_ = attention_flops_ = 0;
}

Buffer DryBackend::allocate(int64_t size_bytes, const std::string&) {
  return Buffer(nullptr, size_bytes, nullptr);
}

void DryBackend::copy_in(const Tensor&, const void*) {
  ++calls_["copy_in"];
}
void DryBackend::copy_out(void*, const Tensor&) {
  ++calls_["copy_out"];
}
void DryBackend::zero(const Tensor&) {
  ++calls_["zero"];
}

void DryBackend::copy(const Tensor& from, const Tensor& to) {
  shapes::check_copy(from, to);
  ++calls_["copy"];
}

void DryBackend::add_sum(const Tensor& x, const Tensor& total) {
  shapes::check_add_sum(x, total);
  ++calls_["add_sum"];
}
void DryBackend::add(const Tensor& x, const Tensor& y) {
  shapes::check_add(x, y);
  ++calls_["add"];
}

void DryBackend::copy_matrix(const Mat& from, const Mat& to) {
  shapes::check_copy_matrix(from, to);
  ++calls_["copy_matrix"];
}

void DryBackend::matmul(const Mat& a, const Mat& b, const Mat& c, float beta) {
  shapes::check_matmul(a, b, c, beta);
  ++calls_["matmul"];
  matmul_flops_ += 2.0 * static_cast<double>(c.batch) * static_cast<double>(c.rows) * static_cast<double>(c.cols) *
                   static_cast<double>(a.logical_cols());
}

void DryBackend::norm_gelu_forward(const NormGelu& op, const Tensor& h, const Tensor& a, const Tensor& row_scale) {
  shapes::check_norm_gelu_forward(op, h, a, row_scale);
  ++calls_["norm_gelu_forward"];
}

void DryBackend::norm_gelu_backward(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                                    const Tensor& dh) {
  shapes::check_norm_gelu_backward(op, da, h, row_scale, dh);
  ++calls_["norm_gelu_backward"];
}

void DryBackend::row_sum_squares(const Tensor& h, const Tensor& sums) {
  shapes::check_row_sum_squares(h, sums);
  ++calls_["row_sum_squares"];
}

void DryBackend::norm_gelu_forward_from(const NormGelu& op, const Tensor& h, const Tensor& sums, const Tensor& a,
                                        const Tensor& row_scale) {
  shapes::check_norm_gelu_forward_from(op, h, sums, a, row_scale);
  ++calls_["norm_gelu_forward_from"];
}

void DryBackend::norm_gelu_backward_sums(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                                         const Tensor& sums) {
  shapes::check_norm_gelu_backward_sums(op, da, h, row_scale, sums);
  ++calls_["norm_gelu_backward_sums"];
}

void DryBackend::norm_gelu_backward_from(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                                         const Tensor& sums, const Tensor& dh) {
  shapes::check_norm_gelu_backward_from(op, da, h, row_scale, sums, dh);
  ++calls_["norm_gelu_backward_from"];
}

void DryBackend::gate_forward(GateKind gate, GeluKind, const Tensor& h, const Tensor& a) {
  shapes::check_gate(gate, h, a);
  ++calls_["gate_forward"];
}

void DryBackend::gate_backward(GateKind gate, GeluKind, const Tensor& da, const Tensor& h, const Tensor& dh) {
  shapes::check_gate(gate, h, da);
  shapes::check_gate(gate, dh, da);
  ++calls_["gate_backward"];
}

void DryBackend::add_norm_forward(const RowNorm&, const Tensor& x, const Tensor& delta, const Tensor& weight,
                                  const Tensor& y, const Tensor& stats) {
  shapes::check_add_norm_forward(x, delta, weight, y, stats);
  ++calls_["add_norm_forward"];
}

void DryBackend::norm_backward(const RowNorm&, const Tensor& dy, const Tensor& x, const Tensor& weight,
                               const Tensor& stats, const Tensor& dx, const Tensor& dweight) {
  shapes::check_norm_backward(dy, x, weight, stats, dx, dweight);
  ++calls_["norm_backward"];
}

void DryBackend::rope(const Rope& op, const Tensor& x, bool) {
  shapes::check_rope(op, x);
  ++calls_["rope"];
}

namespace {

double forward_flops(const Attention& op) {
  return 2.0 * static_cast<double>(op.batch * op.heads) * static_cast<double>(op.context) *
         static_cast<double>(op.context) * static_cast<double>(op.head_dim);
}

}  // namespace

void DryBackend::attention_forward(const Attention& op, const Tensor& q, const Tensor& k, const Tensor& v,
                                   const Tensor& out, const Tensor& logsumexp) {
  shapes::check_attention_forward(op, q, k, v, out, logsumexp);
  ++calls_["attention_forward"];
  attention_flops_ += forward_flops(op);
}

void DryBackend::attention_backward(const Attention& op, const Tensor& dout, const Tensor& q, const Tensor& k,
                                    const Tensor& v, const Tensor& out, const Tensor& logsumexp, const Tensor& scratch,
                                    const Tensor& dq, const Tensor& dk, const Tensor& dv) {
  shapes::check_attention_backward(op, dout, q, k, v, out, logsumexp, scratch, dq, dk, dv);
  ++calls_["attention_backward"];
  attention_flops_ += 2.0 * forward_flops(op);
}

void DryBackend::embedding_forward(const Tensor& tokens, const Tensor& weight, int64_t first_token, const Tensor& out) {
  shapes::check_embedding_forward(tokens, weight, first_token, out);
  ++calls_["embedding_forward"];
}

void DryBackend::embedding_backward(const Tensor& tokens, const Tensor& dout, int64_t first_token,
                                    const Tensor& dweight) {
  shapes::check_embedding_backward(tokens, dout, first_token, dweight);
  ++calls_["embedding_backward"];
}

void DryBackend::cross_entropy(const Tensor& logits, const Tensor& targets, const Tensor& losses, double) {
  shapes::check_cross_entropy(logits, targets, losses);
  ++calls_["cross_entropy"];
}

void DryBackend::cross_entropy_stats(const Tensor& logits, const Tensor& targets, int64_t first_token,
                                     const Tensor& stats) {
  shapes::check_cross_entropy_stats(logits, targets, first_token, stats);
  ++calls_["cross_entropy_stats"];
}

void DryBackend::cross_entropy_from(const Tensor& logits, const Tensor& targets, int64_t first_token,
                                    const Tensor& all_stats, const Tensor& losses, double) {
  shapes::check_cross_entropy_from(logits, targets, first_token, all_stats, losses);
  ++calls_["cross_entropy_from"];
}

void DryBackend::sum_squares(const Tensor& x, const std::vector<FlatRange>& ranges, const Tensor& out) {
  shapes::check_sum_squares(x, ranges, out);
  ++calls_["sum_squares"];
}

void DryBackend::adamw(const AdamW& op, const std::vector<UpdateBlock>& blocks, const Tensor& grad_sum_squares,
                       const Tensor& grad, const Tensor& moment1, const Tensor& moment2, const Tensor& master,
                       const Tensor& compute, const Tensor& nonfinite) {
  shapes::check_adamw(op, blocks, grad_sum_squares, grad, moment1, moment2, master, compute, nonfinite);
  ++calls_["adamw"];
}

}  // namespace nexus
