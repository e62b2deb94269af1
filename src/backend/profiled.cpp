#include "backend/profiled.h"

#include <algorithm>

namespace nexus {
namespace {

// --- bytes
template <typename... Tensors>
double bytes(const Tensors&... tensors) {
  return (0.0 + ... + (tensors.defined() ? static_cast<double>(tensors.size_bytes()) : 0.0));
}

// A matrix that all products of a batch share (stride 0) is moved once.
double bytes(const Mat& mat) {
  const int64_t batch = mat.batch_stride == 0 ? 1 : mat.batch;
  return static_cast<double>(batch * mat.rows * mat.cols * size_of(mat.dtype));
}

// Elements of all tokens' heads; q, k and v are views whose extents do not say how wide they are.
double head_bytes(const Attention& op, int64_t heads, DType dtype) {
  return static_cast<double>(op.batch * op.context * heads * op.head_dim * size_of(dtype));
}

// q, k, v, out and logsumexp: what the forward pass moves.
double attention_bytes(const Attention& op, const Tensor& q, const Tensor& logsumexp) {
  return head_bytes(op, 2 * op.heads + 2 * op.kv_heads, q.dtype) + bytes(logsumexp);
}

// The gradients of the rows that the tokens name, read and written; at most the whole matrix.
double embedding_gradient_bytes(const Tensor& tokens, const Tensor& dweight) {
  const double rows = static_cast<double>(std::min(tokens.count(), dweight.shape[0]));
  return 2 * rows * static_cast<double>(dweight.shape[1] * size_of(dweight.dtype));
}

// Logits are read, and written where they become their gradient.
double logit_bytes(const Tensor& logits, double grad_scale) {
  return bytes(logits) * (grad_scale != 0 ? 2 : 1);
}

double elements(const std::vector<FlatRange>& ranges) {
  double sum = 0;
  for (const FlatRange& range : ranges) sum += static_cast<double>(range.count);
  return sum;
}

double elements(const std::vector<UpdateBlock>& blocks) {
  double sum = 0;
  for (const UpdateBlock& block : blocks) sum += static_cast<double>(block.rows * block.cols);
  return sum;
}

// --- FLOPs
double matmul_flops(const Mat& a, const Mat& c) {
  return 2.0 * static_cast<double>(c.batch * c.rows * c.cols) * static_cast<double>(a.logical_cols());
}

// Causal half of one product of attention over all heads; forward has two products, backward four by the 3x convention.
double attention_product_flops(const Attention& op) {
  return static_cast<double>(op.batch * op.heads * op.context) * static_cast<double>(op.context * op.head_dim);
}

}  // namespace

void ProfiledBackend::collect() {
  for (const Pending& call : pending_) {
    Family& family = families_[call.family];
    family.seconds += inner_.seconds_between(call.from, call.to);
    family.flops += call.cost.flops;
    family.bytes += call.cost.bytes;
    ++family.calls;
  }
  pending_.clear();
}

const std::map<std::string, ProfiledBackend::Family>& ProfiledBackend::families() {
  collect();
  return families_;
}

void ProfiledBackend::reset() {
  pending_.clear();
  families_.clear();
}

// --- memory. Transfers count the device's side.
void ProfiledBackend::copy_in(const Tensor& device, const void* host) {
  timed("transfer", {0, bytes(device)}, [&] { inner_.copy_in(device, host); });
}
void ProfiledBackend::copy_out(void* host, const Tensor& device) {
  timed("transfer", {0, bytes(device)}, [&] { inner_.copy_out(host, device); });
}
void ProfiledBackend::zero(const Tensor& x) {
  timed("memory", {0, bytes(x)}, [&] { inner_.zero(x); });
}
void ProfiledBackend::copy(const Tensor& from, const Tensor& to) {
  timed("memory", {0, bytes(from, to)}, [&] { inner_.copy(from, to); });
}
void ProfiledBackend::add_sum(const Tensor& x, const Tensor& total) {
  timed("memory", {0, bytes(x, total, total)}, [&] { inner_.add_sum(x, total); });
}
void ProfiledBackend::add(const Tensor& x, const Tensor& y) {
  timed("memory", {0, bytes(x, y, y)}, [&] { inner_.add(x, y); });
}
void ProfiledBackend::copy_matrix(const Mat& from, const Mat& to) {
  timed("memory", {0, bytes(from) + bytes(to)}, [&] { inner_.copy_matrix(from, to); });
}

// --- matrices: a, b, and c once, or twice where it is added to. Layers add to weight gradients only.
void ProfiledBackend::matmul(const Mat& a, const Mat& b, const Mat& c, float beta) {
  const bool adds = beta != 0;
  timed(adds ? "wgrad" : "matmul", {matmul_flops(a, c), bytes(a) + bytes(b) + bytes(c) * (adds ? 2 : 1)},
        [&] { inner_.matmul(a, b, c, beta); });
}

// --- activations: every argument once, dh too where it lies over da (one is read, the other written).
void ProfiledBackend::norm_gelu_forward(const NormGelu& op, const Tensor& h, const Tensor& a, const Tensor& row_scale) {
  timed("activation", {0, bytes(h, a, row_scale)}, [&] { inner_.norm_gelu_forward(op, h, a, row_scale); });
}
void ProfiledBackend::norm_gelu_backward(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                                         const Tensor& dh) {
  timed("activation", {0, bytes(da, h, row_scale, dh)}, [&] { inner_.norm_gelu_backward(op, da, h, row_scale, dh); });
}
void ProfiledBackend::row_sum_squares(const Tensor& h, const Tensor& sums) {
  timed("activation", {0, bytes(h, sums)}, [&] { inner_.row_sum_squares(h, sums); });
}
void ProfiledBackend::norm_gelu_forward_from(const NormGelu& op, const Tensor& h, const Tensor& sums, const Tensor& a,
                                             const Tensor& row_scale) {
  timed("activation", {0, bytes(h, sums, a, row_scale)},
        [&] { inner_.norm_gelu_forward_from(op, h, sums, a, row_scale); });
}
void ProfiledBackend::norm_gelu_backward_sums(const NormGelu& op, const Tensor& da, const Tensor& h,
                                              const Tensor& row_scale, const Tensor& sums) {
  timed("activation", {0, bytes(da, h, row_scale, sums)},
        [&] { inner_.norm_gelu_backward_sums(op, da, h, row_scale, sums); });
}
void ProfiledBackend::norm_gelu_backward_from(const NormGelu& op, const Tensor& da, const Tensor& h,
                                              const Tensor& row_scale, const Tensor& sums, const Tensor& dh) {
  timed("activation", {0, bytes(da, h, row_scale, sums, dh)},
        [&] { inner_.norm_gelu_backward_from(op, da, h, row_scale, sums, dh); });
}
void ProfiledBackend::gate_forward(GateKind gate, GeluKind gelu, const Tensor& h, const Tensor& a) {
  timed("activation", {0, bytes(h, a)}, [&] { inner_.gate_forward(gate, gelu, h, a); });
}
void ProfiledBackend::gate_backward(GateKind gate, GeluKind gelu, const Tensor& da, const Tensor& h, const Tensor& dh) {
  timed("activation", {0, bytes(da, h, dh)}, [&] { inner_.gate_backward(gate, gelu, da, h, dh); });
}

// --- residual stream: x is read, and written where delta is added to it; dx and dweight are updated in place.
void ProfiledBackend::add_norm_forward(const RowNorm& op, const Tensor& x, const Tensor& delta, const Tensor& weight,
                                       const Tensor& y, const Tensor& stats) {
  timed("norm", {0, bytes(x, delta, delta.defined() ? x : Tensor{}, weight, y, stats)},
        [&] { inner_.add_norm_forward(op, x, delta, weight, y, stats); });
}
void ProfiledBackend::norm_backward(const RowNorm& op, const Tensor& dy, const Tensor& x, const Tensor& weight,
                                    const Tensor& stats, const Tensor& dx, const Tensor& dweight) {
  timed("norm", {0, bytes(dy, x, weight, stats, dx, dx, dweight, dweight)},
        [&] { inner_.norm_backward(op, dy, x, weight, stats, dx, dweight); });
}

// --- attention: rope updates the elements that rotate; backward reads dout besides what forward moves, and writes dq,
// dk, dv.
void ProfiledBackend::rope(const Rope& op, const Tensor& x, bool inverse) {
  const double moved = 2.0 * static_cast<double>(x.shape[0] * op.heads * op.rotary_dim * size_of(x.dtype));
  timed("rope", {0, moved}, [&] { inner_.rope(op, x, inverse); });
}
void ProfiledBackend::attention_forward(const Attention& op, const Tensor& q, const Tensor& k, const Tensor& v,
                                        const Tensor& out, const Tensor& logsumexp) {
  timed("attention_forward", {2 * attention_product_flops(op), attention_bytes(op, q, logsumexp)},
        [&] { inner_.attention_forward(op, q, k, v, out, logsumexp); });
}
void ProfiledBackend::attention_backward(const Attention& op, const Tensor& dout, const Tensor& q, const Tensor& k,
                                         const Tensor& v, const Tensor& out, const Tensor& logsumexp,
                                         const Tensor& scratch, const Tensor& dq, const Tensor& dk, const Tensor& dv) {
  const double gradients = head_bytes(op, 2 * op.heads + 2 * op.kv_heads, q.dtype);
  timed("attention_backward", {4 * attention_product_flops(op), attention_bytes(op, q, logsumexp) + gradients},
        [&] { inner_.attention_backward(op, dout, q, k, v, out, logsumexp, scratch, dq, dk, dv); });
}

// --- embedding and loss: forward reads one row of the weight for each that it writes.
void ProfiledBackend::embedding_forward(const Tensor& tokens, const Tensor& weight, int64_t first_token,
                                        const Tensor& out) {
  timed("embedding", {0, bytes(tokens, out, out)}, [&] { inner_.embedding_forward(tokens, weight, first_token, out); });
}
void ProfiledBackend::embedding_backward(const Tensor& tokens, const Tensor& dout, int64_t first_token,
                                         const Tensor& dweight) {
  timed("embedding", {0, bytes(tokens, dout) + embedding_gradient_bytes(tokens, dweight)},
        [&] { inner_.embedding_backward(tokens, dout, first_token, dweight); });
}
void ProfiledBackend::cross_entropy(const Tensor& logits, const Tensor& targets, const Tensor& losses,
                                    double grad_scale) {
  timed("loss", {0, logit_bytes(logits, grad_scale) + bytes(targets, losses)},
        [&] { inner_.cross_entropy(logits, targets, losses, grad_scale); });
}
void ProfiledBackend::cross_entropy_stats(const Tensor& logits, const Tensor& targets, int64_t first_token,
                                          const Tensor& stats) {
  timed("loss", {0, bytes(logits, targets, stats)},
        [&] { inner_.cross_entropy_stats(logits, targets, first_token, stats); });
}
void ProfiledBackend::cross_entropy_from(const Tensor& logits, const Tensor& targets, int64_t first_token,
                                         const Tensor& all_stats, const Tensor& losses, double grad_scale) {
  timed("loss", {0, logit_bytes(logits, grad_scale) + bytes(targets, all_stats, losses)},
        [&] { inner_.cross_entropy_from(logits, targets, first_token, all_stats, losses, grad_scale); });
}

// --- optimizer: the gradient is read, both moments and the master weight are updated, the compute copy is written.
void ProfiledBackend::sum_squares(const Tensor& x, const std::vector<FlatRange>& ranges, const Tensor& out) {
  timed("optimizer", {0, elements(ranges) * static_cast<double>(size_of(x.dtype)) + bytes(out)},
        [&] { inner_.sum_squares(x, ranges, out); });
}
void ProfiledBackend::adamw(const AdamW& op, const std::vector<UpdateBlock>& blocks, const Tensor& grad_sum_squares,
                            const Tensor& grad, const Tensor& moment1, const Tensor& moment2, const Tensor& master,
                            const Tensor& compute, const Tensor& nonfinite) {
  const int64_t per_element = 7 * size_of(master.dtype) + (compute.defined() ? size_of(compute.dtype) : 0);
  timed("optimizer", {0, elements(blocks) * static_cast<double>(per_element) + bytes(grad_sum_squares)},
        [&] { inner_.adamw(op, blocks, grad_sum_squares, grad, moment1, moment2, master, compute, nonfinite); });
}

}  // namespace nexus
