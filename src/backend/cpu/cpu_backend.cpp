#include <omp.h>

#include <cstring>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/matmul.h"
#include "backend/cpu/parallel.h"
#include "backend/shapes.h"

namespace nexus {

namespace {

// Checks shapes, picks the kernel of the compute type, nothing else.
class CpuBackend final : public Backend {
 public:
  // The thread count is OpenMP's own, for the calling thread: oneDNN and OpenBLAS follow it.
  explicit CpuBackend(int threads) {
    if (threads > 0) omp_set_num_threads(threads);
  }

  std::string name() const override { return "cpu"; }

  std::string description() const override {
    return fmt::format("cpu, {} threads, {}", omp_get_max_threads(), matmul_.description());
  }

  Buffer allocate(int64_t size_bytes, const std::string&) override { return host_buffer(size_bytes); }
  void copy_in(const Tensor& device, const void* host) override {
    std::memcpy(device.data, host, static_cast<size_t>(device.size_bytes()));
  }
  void copy_out(void* host, const Tensor& device) override {
    std::memcpy(host, device.data, static_cast<size_t>(device.size_bytes()));
  }
  void synchronize() override {}

  void zero(const Tensor& x) override { cpu::zero(x); }
  void copy(const Tensor& from, const Tensor& to) override {
    shapes::check_copy(from, to);
    cpu::copy(from, to);
  }
  void add(const Tensor& x, const Tensor& y) override {
    shapes::check_add(x, y);
    cpu::add(x, y);
  }
  void add_sum(const Tensor& x, const Tensor& total) override {
    shapes::check_add_sum(x, total);
    cpu::add_sum(x, total);
  }
  void copy_matrix(const Mat& from, const Mat& to) override {
    shapes::check_copy_matrix(from, to);
    cpu::copy_matrix(from, to);
  }

  void matmul(const Mat& a, const Mat& b, const Mat& c, float beta) override {
    shapes::check_matmul(a, b, c, beta);
    matmul_.run(a, b, c, beta);
  }

  void norm_gelu_forward(const NormGelu& op, const Tensor& h, const Tensor& a, const Tensor& row_scale) override {
    shapes::check_norm_gelu_forward(op, h, a, row_scale);
    cpu::with_scalar(h.dtype, [&]<typename T>() { cpu::norm_gelu_forward<T>(op, h, a, row_scale); });
  }
  void norm_gelu_backward(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                          const Tensor& dh) override {
    shapes::check_norm_gelu_backward(op, da, h, row_scale, dh);
    cpu::with_scalar(h.dtype, [&]<typename T>() { cpu::norm_gelu_backward<T>(op, da, h, row_scale, dh); });
  }
  void row_sum_squares(const Tensor& h, const Tensor& sums) override {
    shapes::check_row_sum_squares(h, sums);
    cpu::with_scalar(h.dtype, [&]<typename T>() { cpu::row_sum_squares<T>(h, sums); });
  }
  void norm_gelu_forward_from(const NormGelu& op, const Tensor& h, const Tensor& sums, const Tensor& a,
                              const Tensor& row_scale) override {
    shapes::check_norm_gelu_forward_from(op, h, sums, a, row_scale);
    cpu::with_scalar(h.dtype, [&]<typename T>() { cpu::norm_gelu_forward_from<T>(op, h, sums, a, row_scale); });
  }
  void norm_gelu_backward_sums(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                               const Tensor& sums) override {
    shapes::check_norm_gelu_backward_sums(op, da, h, row_scale, sums);
    cpu::with_scalar(h.dtype, [&]<typename T>() { cpu::norm_gelu_backward_sums<T>(op, da, h, row_scale, sums); });
  }
  void norm_gelu_backward_from(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                               const Tensor& sums, const Tensor& dh) override {
    shapes::check_norm_gelu_backward_from(op, da, h, row_scale, sums, dh);
    cpu::with_scalar(h.dtype, [&]<typename T>() { cpu::norm_gelu_backward_from<T>(op, da, h, row_scale, sums, dh); });
  }
  void gate_forward(GateKind gate, GeluKind gelu, const Tensor& h, const Tensor& a) override {
    shapes::check_gate(gate, h, a);
    cpu::with_scalar(h.dtype, [&]<typename T>() { cpu::gate_forward<T>(gate, gelu, h, a); });
  }
  void gate_backward(GateKind gate, GeluKind gelu, const Tensor& da, const Tensor& h, const Tensor& dh) override {
    shapes::check_gate(gate, h, da);
    shapes::check_gate(gate, dh, da);
    cpu::with_scalar(h.dtype, [&]<typename T>() { cpu::gate_backward<T>(gate, gelu, da, h, dh); });
  }

  void add_norm_forward(const RowNorm& op, const Tensor& x, const Tensor& delta, const Tensor& weight, const Tensor& y,
                        const Tensor& stats) override {
    shapes::check_add_norm_forward(x, delta, weight, y, stats);
    cpu::with_scalar(x.dtype, [&]<typename T>() { cpu::add_norm_forward<T>(op, x, delta, weight, y, stats); });
  }
  void norm_backward(const RowNorm& op, const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& stats,
                     const Tensor& dx, const Tensor& dweight) override {
    shapes::check_norm_backward(dy, x, weight, stats, dx, dweight);
    cpu::with_scalar(x.dtype, [&]<typename T>() { cpu::norm_backward<T>(op, dy, x, weight, stats, dx, dweight); });
  }

  void rope(const Rope& op, const Tensor& x, bool inverse) override {
    shapes::check_rope(op, x);
    cpu::with_scalar(x.dtype, [&]<typename T>() { cpu::rope<T>(op, x, inverse); });
  }
  void attention_forward(const Attention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                         const Tensor& logsumexp) override {
    shapes::check_attention_forward(op, q, k, v, out, logsumexp);
    cpu::with_scalar(q.dtype, [&]<typename T>() { cpu::attention_forward<T>(op, q, k, v, out, logsumexp); });
  }
  void attention_backward(const Attention& op, const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                          const Tensor& out, const Tensor& logsumexp, const Tensor& scratch, const Tensor& dq,
                          const Tensor& dk, const Tensor& dv) override {
    shapes::check_attention_backward(op, dout, q, k, v, out, logsumexp, scratch, dq, dk, dv);
    cpu::with_scalar(q.dtype, [&]<typename T>() {
      cpu::attention_backward<T>(op, dout, q, k, v, out, logsumexp, scratch, dq, dk, dv);
    });
  }

  void embedding_forward(const Tensor& tokens, const Tensor& weight, int64_t first_token, const Tensor& out) override {
    shapes::check_embedding_forward(tokens, weight, first_token, out);
    cpu::with_scalar(weight.dtype, [&]<typename T>() { cpu::embedding_forward<T>(tokens, weight, first_token, out); });
  }
  void embedding_backward(const Tensor& tokens, const Tensor& dout, int64_t first_token,
                          const Tensor& dweight) override {
    shapes::check_embedding_backward(tokens, dout, first_token, dweight);
    cpu::with_scalar(dout.dtype, [&]<typename T>() { cpu::embedding_backward<T>(tokens, dout, first_token, dweight); });
  }
  void cross_entropy(const Tensor& logits, const Tensor& targets, const Tensor& losses, double grad_scale) override {
    shapes::check_cross_entropy(logits, targets, losses);
    cpu::with_scalar(logits.dtype, [&]<typename T>() { cpu::cross_entropy<T>(logits, targets, losses, grad_scale); });
  }

  void cross_entropy_stats(const Tensor& logits, const Tensor& targets, int64_t first_token,
                           const Tensor& stats) override {
    shapes::check_cross_entropy_stats(logits, targets, first_token, stats);
    cpu::with_scalar(logits.dtype,
                     [&]<typename T>() { cpu::cross_entropy_stats<T>(logits, targets, first_token, stats); });
  }
  void cross_entropy_from(const Tensor& logits, const Tensor& targets, int64_t first_token, const Tensor& all_stats,
                          const Tensor& losses, double grad_scale) override {
    shapes::check_cross_entropy_from(logits, targets, first_token, all_stats, losses);
    cpu::with_scalar(logits.dtype, [&]<typename T>() {
      cpu::cross_entropy_from<T>(logits, targets, first_token, all_stats, losses, grad_scale);
    });
  }

  void sum_squares(const Tensor& x, const std::vector<FlatRange>& ranges, const Tensor& out) override {
    shapes::check_sum_squares(x, ranges, out);
    cpu::with_scalar(x.dtype, [&]<typename T>() { *out.as<double>() = cpu::sum_squares<T>(x, ranges); });
  }
  void adamw(const AdamW& op, const std::vector<UpdateBlock>& blocks, const Tensor& grad_sum_squares,
             const Tensor& grad, const Tensor& moment1, const Tensor& moment2, const Tensor& master,
             const Tensor& compute, const Tensor& nonfinite) override {
    shapes::check_adamw(op, blocks, grad_sum_squares, grad, moment1, moment2, master, compute, nonfinite);
    double sum = 0;
    for (int64_t i = 0; op.clip > 0 && i < grad_sum_squares.count(); ++i) sum += grad_sum_squares.as<double>()[i];
    cpu::with_scalar(compute.defined() ? compute.dtype : master.dtype, [&]<typename T>() {
      cpu::adamw<T>(op, blocks, sum, grad, moment1, moment2, master, compute, nonfinite);
    });
  }

 private:
  cpu::Matmul matmul_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(int threads) {
  return std::make_unique<CpuBackend>(threads);
}

}  // namespace nexus
