// A back end that times another one: seconds, calls, FLOPs and bytes per family of operations. For `nexus bench step`.
//
// Every operation stands between two marks of the inner back end, which are read later: an asynchronous device is not
// held up, and what happens between operations (collectives, the host's own work) is in no family.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace nexus {

class ProfiledBackend : public Backend {
 public:
  // FLOPs are counted for matrix products and attention (its causal half; backward twice forward). Bytes: what the
  // operation must move if it reads each input once and writes each output once; scratch is not counted, what is
  // updated in place counts twice. profiled.cpp says it per operation.
  struct Family {
    double seconds = 0, flops = 0, bytes = 0;
    int64_t calls = 0;
  };

  explicit ProfiledBackend(Backend& inner) : inner_(inner) {}
  // By name: matmul, wgrad (products added to a weight gradient), attention_forward, attention_backward, activation
  // (norm + GELU and gates), norm, rope, loss, embedding, optimizer, memory (fills and copies on the device), transfer
  // (to and from the host). Waits for what is under way.
  const std::map<std::string, Family>& families();
  void reset();

  std::string name() const override { return inner_.name(); }
  std::string description() const override { return inner_.description(); }
  using Backend::allocate;
  Buffer allocate(int64_t size_bytes, const std::string& what) override { return inner_.allocate(size_bytes, what); }
  DeviceMemory memory() const override { return inner_.memory(); }
  void copy_in(const Tensor& device, const void* host) override;
  void copy_out(void* host, const Tensor& device) override;
  void synchronize() override { inner_.synchronize(); }
  Mark mark() override { return inner_.mark(); }
  double seconds_between(const Mark& from, const Mark& to) override { return inner_.seconds_between(from, to); }
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
  // What one call is known to cost, whatever its time.
  struct Cost {
    double flops = 0, bytes = 0;
  };
  struct Pending {
    const char* family;
    Cost cost;
    Mark from, to;
  };
  static constexpr size_t kMostPending = size_t{1} << 16;  // a mark holds an event of the device

  template <typename Call>
  void timed(const char* family, const Cost& cost, Call call) {
    const Mark from = inner_.mark();
    call();
    pending_.push_back({family, cost, from, inner_.mark()});
    if (pending_.size() == kMostPending) collect();
  }
  void collect();

  Backend& inner_;
  std::vector<Pending> pending_;
  std::map<std::string, Family> families_;
};

}  // namespace nexus
