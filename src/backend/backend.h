// Backend: the numeric operations of nexus, one virtual call each, over Tensor views of one device.
//
// Who implements it: backend/cpu (f32, bf16, f64), backend/dry (nothing is computed; FLOPs are counted), cuda/ (f32,
// bf16). Only `cli` names a concrete one. Layers are written once against this interface.
//
// Conventions, for every operation:
// * Activations and weights have the compute type (f32, bf16 or f64). Statistics, losses and parameter gradients, the
//   "wide" tensors, are f64 if the compute type is f64, f32 otherwise. bf16 operations compute in f32.
// * Scalar arguments are doubles; a kernel rounds them to the type it computes in, and only there.
// * Row-major, contiguous unless a leading dimension is given. Outputs may not alias inputs unless the comment says so.
// * Asynchronous in stream order on a GPU; `synchronize` waits.
// * Results repeat bit for bit for one kind of device, thread count and library version; on a GPU with
//   precision.deterministic only, since libraries choose kernels by timing and add atomically.
// * Shapes are checked; a mismatch is a bug (ErrorKind::kInternal).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace nexus {

// One operand of a (batched) matrix product: `rows` x `cols` elements stored with leading dimension `ld`; `transposed`
// swaps their roles in the product. Element (b, i, j) lies at data + b * batch_stride + i * ld + j.
struct Mat {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0, cols = 0, ld = 0;
  int64_t batch = 1, batch_stride = 0;
  bool transposed = false;

  Mat() = default;
  // A rank-2 tensor as it lies.
  Mat(const Tensor& tensor);  // NOLINT(google-explicit-constructor): reads as the matrix it is
  // Any tensor seen as rows x cols with leading dimension ld, from element `offset`.
  static Mat view(const Tensor& tensor, int64_t rows, int64_t cols, int64_t ld, int64_t offset = 0);
  Mat batched(int64_t count, int64_t stride) const;
  Mat t() const;
  int64_t logical_rows() const { return transposed ? cols : rows; }
  int64_t logical_cols() const { return transposed ? rows : cols; }
};

enum class NormKind { kNone, kL2 };
enum class GeluKind { kErf, kTanh };

// Activation of a Nexus-Rank or Pattention stage: a = GELU(n(h)) (docs/numerics.md, The function).
// Rows come in groups (q, k, v share one call): h is [rows, groups, width], row (r, g) is scaled to norm scales[g].
struct NormGelu {
  NormKind norm = NormKind::kL2;
  GeluKind gelu = GeluKind::kErf;
  double eps = 1e-5;           // s = scale / (||h|| + eps), and s = 0 where ||h|| + eps is zero
  std::vector<double> scales;  // one per group: sqrt(O) of that group's layer (sqrt(n_scale) for Pattention)
};

enum class RowNormKind { kRms, kLayer };

// y = weight * normalised(x); RMS: x / sqrt(mean(x^2) + eps), layer: (x - mean) / sqrt(var + eps). No weight where
// undefined.
struct RowNorm {
  RowNormKind kind = RowNormKind::kRms;
  double eps = 1e-6;
};

// Causal attention over packed rows: token (b, t) of q lies at q + (b * context + t) * ld, head h at + h * head_dim;
// likewise k, v (kv_heads of them: grouped-query attention), and out / dout with leading dimension heads * head_dim.
// The tensors q, k, v, dq, dk, dv (and x of rope) are views from the first element used: shape[0] counts tokens, ld
// says where they lie, other extents are not read.
struct Attention {
  int64_t batch = 0, context = 0, heads = 0, kv_heads = 0, head_dim = 0;
  int64_t ld = 0;  // elements between tokens of q, k, v and their gradients
};

struct Rope {
  int64_t context = 0, heads = 0, head_dim = 0;
  int64_t rotary_dim = 0;  // leading elements of a head that rotate, "rotate half" layout
  int64_t ld = 0;          // elements between tokens
  double theta = 10000.0;
};

enum class GateKind { kSwiGlu, kGelu };  // kGelu: a plain GELU, no gate

// A rectangle of parameters that shares its update constants: element (i, j) lies at offset + i * row_stride + j of the
// flat parameter buffers. A tensor that never grew is one rectangle with rows = 1.
// Gradients and compute weights lie at `offset`, master weights and moments at `state_offset`: the two differ where the
// optimizer state is sharded (ZeRO-1).
struct UpdateBlock {
  int64_t offset = 0, state_offset = 0, rows = 1, cols = 0, row_stride = 0;
  double learning_rate = 0;
  double weight_decay = 0;
  int64_t step1 = 1, step2 = 1;  // updates seen by the first and the second moment, this one included (bias correction)
};

// Elements [begin, begin + count) of a flat buffer.
struct FlatRange {
  int64_t begin = 0, count = 0;
  bool operator==(const FlatRange&) const = default;
};

struct AdamW {
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  double clip = 0;  // maximum global gradient norm; 0 is no clipping
};

// A point in the order of a device's work.
struct Mark {
  std::shared_ptr<void> event;  // of an asynchronous device
  double host = 0;              // of the host otherwise, by the steady clock
};

// Memory of the device as a whole, whoever uses it. Zeros where it is not limited by the device.
struct DeviceMemory {
  int64_t free_bytes = 0, total_bytes = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string name() const = 0;  // "cpu", "dry", "cuda"
  // Facts that change bits or speed (library versions, instruction set, threads), recorded in run.json.
  virtual std::string description() const = 0;

  // --- memory
  // Uninitialised. `what` names the buffer in the error (ErrorKind::kConfig) that says that it does not fit.
  virtual Buffer allocate(int64_t size_bytes, const std::string& what) = 0;
  Buffer allocate(int64_t size_bytes) { return allocate(size_bytes, "scratch"); }
  virtual DeviceMemory memory() const { return {}; }
  // The host memory may be reused on return, though a GPU may not have the bytes yet: in stream order it has.
  virtual void copy_in(const Tensor& device, const void* host) = 0;
  virtual void copy_out(void* host, const Tensor& device) = 0;  // waits for everything before it
  virtual void synchronize() = 0;

  // --- time
  virtual Mark mark();                                               // after everything called so far
  virtual double seconds_between(const Mark& from, const Mark& to);  // waits until both are reached

  // --- elementwise
  virtual void zero(const Tensor& x) = 0;
  virtual void copy(const Tensor& from, const Tensor& to) = 0;  // converts between types
  virtual void add(const Tensor& x, const Tensor& y) = 0;       // y += x
  // total[0] += the sum of wide x, in f64 (total is f64 [1]); on the CPU in index order.
  virtual void add_sum(const Tensor& x, const Tensor& total) = 0;
  // Copies a (batched, strided) matrix into another of the same type, rows, cols and batch; neither is transposed. They
  // may not overlap.
  virtual void copy_matrix(const Mat& from, const Mat& to) = 0;

  // --- matrices: c = a b + beta c, beta 0 or 1. a and b have the compute type; c the compute type or wide.
  virtual void matmul(const Mat& a, const Mat& b, const Mat& c, float beta = 0) = 0;

  // --- activations. row_scale is wide [rows, groups] (unused for kNone).
  virtual void norm_gelu_forward(const NormGelu& op, const Tensor& h, const Tensor& a, const Tensor& row_scale) = 0;
  // dh may alias da. With u = s h, du = da GELU'(u), r = sum(u du): dh = s (du - u (r / c^2) (1 + eps / ||h||)).
  virtual void norm_gelu_backward(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                                  const Tensor& dh) = 0;
  // The same in two halves, for rows that are split over ranks, which add up `sums` (wide [rows, groups]) in between.
  // Widths are local; scales are still those of the whole layer. Never called for kNone.
  virtual void row_sum_squares(const Tensor& h, const Tensor& sums) = 0;  // sums = sum over the row of h^2
  virtual void norm_gelu_forward_from(const NormGelu& op, const Tensor& h, const Tensor& sums, const Tensor& a,
                                      const Tensor& row_scale) = 0;
  virtual void norm_gelu_backward_sums(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                                       const Tensor& sums) = 0;  // sums = r = sum(u du)
  virtual void norm_gelu_backward_from(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                                       const Tensor& sums, const Tensor& dh) = 0;  // dh may alias da
  // kSwiGlu: h [rows, 2F] holds gate then up, a [rows, F] = silu(gate) * up. kGelu: h, a [rows, F].
  virtual void gate_forward(GateKind gate, GeluKind gelu, const Tensor& h, const Tensor& a) = 0;
  virtual void gate_backward(GateKind gate, GeluKind gelu, const Tensor& da, const Tensor& h, const Tensor& dh) = 0;

  // --- residual stream. x += delta (if delta is defined), then y = norm(x) * weight. x, delta, y are [rows, D];
  // stats is wide [rows, 2]: mean (0 for RMS) and 1 / deviation. x is updated in place.
  virtual void add_norm_forward(const RowNorm& op, const Tensor& x, const Tensor& delta, const Tensor& weight,
                                const Tensor& y, const Tensor& stats) = 0;
  // dx += gradient through the norm; dweight (wide, if defined) += its gradient. x is the norm's input.
  virtual void norm_backward(const RowNorm& op, const Tensor& dy, const Tensor& x, const Tensor& weight,
                             const Tensor& stats, const Tensor& dx, const Tensor& dweight) = 0;

  // --- attention. `x` names q or k inside packed rows; `inverse` rotates back (the backward pass).
  virtual void rope(const Rope& op, const Tensor& x, bool inverse) = 0;
  // scale 1/sqrt(head_dim). logsumexp is wide [batch, heads, context]. Never materialises context x context.
  virtual void attention_forward(const Attention& op, const Tensor& q, const Tensor& k, const Tensor& v,
                                 const Tensor& out, const Tensor& logsumexp) = 0;
  // Writes dq, dk, dv (packed like q, k, v); `scratch` is wide [batch, heads, context].
  virtual void attention_backward(const Attention& op, const Tensor& dout, const Tensor& q, const Tensor& k,
                                  const Tensor& v, const Tensor& out, const Tensor& logsumexp, const Tensor& scratch,
                                  const Tensor& dq, const Tensor& dk, const Tensor& dv) = 0;

  // --- embedding and loss. tokens, targets are i32 [rows]. The weight (or the logits) may be a slice of the vocabulary
  // that begins at `first_token`: tokens outside it give zero rows, and no gradient. Negative tokens, and
  // targets that are neither -1 nor in the vocabulary, are refused on the CPU. A GPU cannot look before it launches:
  // such a token gives a zero row there, such a target a loss of NaN.
  virtual void embedding_forward(const Tensor& tokens, const Tensor& weight, int64_t first_token,
                                 const Tensor& out) = 0;
  virtual void embedding_backward(const Tensor& tokens, const Tensor& dout, int64_t first_token,
                                  const Tensor& dweight) = 0;  // dweight +=
  // losses (wide [rows]) = -log softmax(logits)[target]. If grad_scale != 0, logits [rows, V] become their own gradient
  // times grad_scale. A target of -1 is ignored: loss and gradient 0.
  virtual void cross_entropy(const Tensor& logits, const Tensor& targets, const Tensor& losses, double grad_scale) = 0;
  // The same in two halves, for logits [rows, V_local] that are split over ranks. stats, wide [rows, 3]: the row's
  // maximum, sum(exp(logit - maximum)), and the target's logit (0 if another rank has it, or none).
  virtual void cross_entropy_stats(const Tensor& logits, const Tensor& targets, int64_t first_token,
                                   const Tensor& stats) = 0;
  // all_stats is [ranks, rows, 3] in rank order; it is combined in that order, so losses agree on every rank.
  virtual void cross_entropy_from(const Tensor& logits, const Tensor& targets, int64_t first_token,
                                  const Tensor& all_stats, const Tensor& losses, double grad_scale) = 0;

  // --- optimizer over flat buffers (parameters, gradients, moments: wide [n]).
  // out[0] = sum(x^2) over the ranges, f64 tensor of one element, 0 for no range. The bits depend on what is in the
  // ranges and on their sizes only, not on where they lie in x; {a, b} gives the bits of {a} plus {b}.
  virtual void sum_squares(const Tensor& x, const std::vector<FlatRange>& ranges, const Tensor& out) = 0;
  // AdamW with decoupled decay (Loshchilov and Hutter 2019) over the blocks. The gradient is first multiplied by
  // min(1, clip / (sqrt(S) + 1e-6)), read on the device, where S is the sum of the f64 tensor `grad_sum_squares` [n] in
  // index order. `compute`, if defined, receives the compute-type copy. `grad` and `compute` [n], moments and master
  // [n_state]. Cutting a block in pieces or moving its state changes no bit of any element. `nonfinite`, if defined, an
  // f64 tensor of one element, becomes 1 where a moment, master or compute value that was written is not finite;
  // otherwise it stays what it was.
  virtual void adamw(const AdamW& op, const std::vector<UpdateBlock>& blocks, const Tensor& grad_sum_squares,
                     const Tensor& grad, const Tensor& moment1, const Tensor& moment2, const Tensor& master,
                     const Tensor& compute, const Tensor& nonfinite) = 0;
};

// The type of statistics, losses and parameter gradients beside a compute type.
constexpr DType wide_of(DType compute) {
  return compute == DType::kF64 ? DType::kF64 : DType::kF32;
}

// The back ends that are always there; cuda/cuda_backend.h has the one of NVIDIA GPUs.
// The host's processor: oneDNN or OpenBLAS for matrices, OpenMP kernels for the rest. `threads` 0 keeps
// OMP_NUM_THREADS.
std::unique_ptr<Backend> make_cpu_backend(int threads = 0);

// Counts instead of computing; allocates nothing (null buffers). See Arena.
class DryBackend;
std::unique_ptr<DryBackend> make_dry_backend();

}  // namespace nexus
