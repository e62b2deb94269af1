#include "backend/shapes.h"

namespace nexus::shapes {

namespace {

bool is_float(DType dtype) {
  return dtype != DType::kI32;
}

void check_float(const Tensor& x) {
  NX_CHECK(is_float(x.dtype), "{} of {}", name_of(x.dtype), x.shape.str());
}

void check_same(const Tensor& x, const Tensor& y) {
  NX_CHECK(x.shape == y.shape && x.dtype == y.dtype, "{} {} against {} {}", name_of(x.dtype), x.shape.str(),
           name_of(y.dtype), y.shape.str());
}

void check_wide(const Tensor& x, DType compute, const Shape& shape) {
  NX_CHECK(x.dtype == wide_of(compute) && x.shape == shape, "{} {} should be {} {}", name_of(x.dtype), x.shape.str(),
           name_of(wide_of(compute)), shape.str());
}

void check_is(const Tensor& x, DType dtype, const Shape& shape) {
  NX_CHECK(x.dtype == dtype && x.shape == shape, "{} {} should be {} {}", name_of(x.dtype), x.shape.str(),
           name_of(dtype), shape.str());
}

// A packed operand: shape[0] tokens; its other axes describe what the caller sees, `ld` says where tokens lie.
void check_packed(const Tensor& x, DType dtype, int64_t tokens, int64_t used_width, int64_t ld) {
  NX_CHECK(x.dtype == dtype && x.shape.rank() >= 1 && x.shape[0] == tokens, "{} {} should be {} with {} tokens",
           name_of(x.dtype), x.shape.str(), name_of(dtype), tokens);
  NX_CHECK(ld >= used_width, "leading dimension {} under a width of {}", ld, used_width);
}

void check_mat(const Mat& m) {
  NX_CHECK(is_float(m.dtype) && m.rows > 0 && m.cols > 0 && m.batch > 0 && m.ld >= m.cols && m.batch_stride >= 0,
           "{} {} x {}, leading dimension {}, {} times with stride {}", name_of(m.dtype), m.rows, m.cols, m.ld, m.batch,
           m.batch_stride);
}

// Different (batch, i, j) are different elements: matrices one after the other, or side by side in rows of ld.
void check_apart(const Mat& m) {
  const bool stacked = m.batch_stride >= (m.rows - 1) * m.ld + m.cols;
  const bool beside = m.batch_stride >= m.cols && (m.batch - 1) * m.batch_stride + m.cols <= m.ld;
  NX_CHECK(m.batch <= 1 || stacked || beside, "results {} apart overlap", m.batch_stride);
}

void check_attention(const Attention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                     const Tensor& logsumexp) {
  check_float(q);
  NX_CHECK(op.batch > 0 && op.context > 0 && op.heads > 0 && op.kv_heads > 0 && op.head_dim > 0, "empty attention");
  NX_CHECK(op.heads % op.kv_heads == 0, "{} heads share {} kv heads", op.heads, op.kv_heads);
  const int64_t tokens = op.batch * op.context;
  check_packed(q, q.dtype, tokens, op.heads * op.head_dim, op.ld);
  check_packed(k, q.dtype, tokens, op.kv_heads * op.head_dim, op.ld);
  check_packed(v, q.dtype, tokens, op.kv_heads * op.head_dim, op.ld);
  NX_CHECK(out.dtype == q.dtype && out.count() == tokens * op.heads * op.head_dim, "output {} of {} tokens",
           out.shape.str(), tokens);
  check_wide(logsumexp, q.dtype, {op.batch, op.heads, op.context});
}

void check_logits(const Tensor& logits, const Tensor& targets) {
  check_float(logits);
  NX_CHECK(logits.shape.rank() == 2, "{}", logits.shape.str());
  NX_CHECK(targets.dtype == DType::kI32 && targets.count() == logits.shape[0], "{} targets for {}", targets.count(),
           logits.shape.str());
}

}  // namespace

void check_copy(const Tensor& from, const Tensor& to) {
  NX_CHECK(from.count() == to.count(), "{} to {}", from.shape.str(), to.shape.str());
  NX_CHECK(is_float(from.dtype) == is_float(to.dtype), "{} to {}", name_of(from.dtype), name_of(to.dtype));
}

void check_add_sum(const Tensor& x, const Tensor& total) {
  NX_CHECK(x.dtype == DType::kF32 || x.dtype == DType::kF64, "a sum of {}", name_of(x.dtype));
  check_is(total, DType::kF64, {1});
}

void check_add(const Tensor& x, const Tensor& y) {
  check_float(x);
  check_float(y);
  NX_CHECK(x.count() == y.count(), "{} to {}", x.shape.str(), y.shape.str());
}

void check_copy_matrix(const Mat& from, const Mat& to) {
  NX_CHECK(from.dtype == to.dtype && from.rows == to.rows && from.cols == to.cols && from.batch == to.batch,
           "{} times {} {} x {} to {} times {} {} x {}", from.batch, name_of(from.dtype), from.rows, from.cols,
           to.batch, name_of(to.dtype), to.rows, to.cols);
  for (const Mat* m : {&from, &to})
    NX_CHECK(m->rows >= 0 && m->cols >= 0 && m->batch >= 0 && m->ld >= m->cols && m->batch_stride >= 0,
             "{} x {}, leading dimension {}, {} times with stride {}", m->rows, m->cols, m->ld, m->batch,
             m->batch_stride);
  NX_CHECK(!from.transposed && !to.transposed, "a copy does not transpose");
  if (to.rows > 0) check_apart(to);
}

void check_matmul(const Mat& a, const Mat& b, const Mat& c, float beta) {
  check_mat(a);
  check_mat(b);
  check_mat(c);
  NX_CHECK(a.dtype == b.dtype && (c.dtype == a.dtype || c.dtype == wide_of(a.dtype)), "{} x {} to {}", name_of(a.dtype),
           name_of(b.dtype), name_of(c.dtype));
  NX_CHECK(a.logical_cols() == b.logical_rows() && a.logical_rows() == c.rows && b.logical_cols() == c.cols,
           "[{}, {}] x [{}, {}] to [{}, {}]", a.logical_rows(), a.logical_cols(), b.logical_rows(), b.logical_cols(),
           c.rows, c.cols);
  NX_CHECK(a.batch == b.batch && a.batch == c.batch, "batches of {}, {} and {}", a.batch, b.batch, c.batch);
  NX_CHECK(!c.transposed, "the result is stored as it lies: transpose a and b instead");
  check_apart(c);
  NX_CHECK(beta == 0 || beta == 1, "beta {}", beta);
}

GroupedRows grouped_rows(const Tensor& h) {
  NX_CHECK(h.shape.rank() == 2 || h.shape.rank() == 3, "{} is neither [rows, width] nor [rows, groups, width]",
           h.shape.str());
  if (h.shape.rank() == 2) return {h.shape[0], 1, h.shape[1]};
  return {h.shape[0], h.shape[1], h.shape[2]};
}

void check_norm_gelu_forward(const NormGelu& op, const Tensor& h, const Tensor& a, const Tensor& row_scale) {
  check_float(h);
  check_same(h, a);
  if (op.norm == NormKind::kNone) return;
  const GroupedRows size = grouped_rows(h);
  NX_CHECK(static_cast<int64_t>(op.scales.size()) == size.groups, "{} scales for {} groups", op.scales.size(),
           size.groups);
  check_wide(row_scale, h.dtype, {size.rows, size.groups});
}

void check_norm_gelu_backward(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                              const Tensor& dh) {
  check_norm_gelu_forward(op, h, dh, row_scale);
  check_same(da, h);
}

void check_row_sum_squares(const Tensor& h, const Tensor& sums) {
  check_float(h);
  const GroupedRows size = grouped_rows(h);
  check_wide(sums, h.dtype, {size.rows, size.groups});
}

void check_norm_gelu_forward_from(const NormGelu& op, const Tensor& h, const Tensor& sums, const Tensor& a,
                                  const Tensor& row_scale) {
  NX_CHECK(op.norm != NormKind::kNone, "sums of rows without a norm");
  check_norm_gelu_forward(op, h, a, row_scale);
  check_row_sum_squares(h, sums);
}

void check_norm_gelu_backward_sums(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                                   const Tensor& sums) {
  check_norm_gelu_forward_from(op, h, sums, da, row_scale);
}

void check_norm_gelu_backward_from(const NormGelu& op, const Tensor& da, const Tensor& h, const Tensor& row_scale,
                                   const Tensor& sums, const Tensor& dh) {
  check_norm_gelu_forward_from(op, h, sums, dh, row_scale);
  check_same(da, h);
}

void check_gate(GateKind gate, const Tensor& h, const Tensor& a) {
  check_float(h);
  NX_CHECK(h.shape.rank() == 2 && a.shape.rank() == 2 && h.dtype == a.dtype && h.shape[0] == a.shape[0],
           "gate of {} to {}", h.shape.str(), a.shape.str());
  const int64_t inputs = gate == GateKind::kSwiGlu ? 2 : 1;
  NX_CHECK(h.shape[1] == inputs * a.shape[1], "gate of {} to {}", h.shape.str(), a.shape.str());
}

void check_add_norm_forward(const Tensor& x, const Tensor& delta, const Tensor& weight, const Tensor& y,
                            const Tensor& stats) {
  check_float(x);
  NX_CHECK(x.shape.rank() == 2, "{}", x.shape.str());
  check_same(x, y);
  if (delta.defined()) check_same(x, delta);
  if (weight.defined()) check_is(weight, x.dtype, {x.shape[1]});
  check_wide(stats, x.dtype, {x.shape[0], 2});
}

void check_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& stats, const Tensor& dx,
                         const Tensor& dweight) {
  check_add_norm_forward(x, dy, weight, dx, stats);
  if (!dweight.defined()) return;
  NX_CHECK(weight.defined(), "a gradient of no weight");
  check_wide(dweight, x.dtype, {x.shape[1]});
}

void check_rope(const Rope& op, const Tensor& x) {
  check_float(x);
  NX_CHECK(op.context > 0 && op.heads > 0 && x.shape.rank() >= 1 && x.shape[0] % op.context == 0,
           "{} in contexts of {}", x.shape.str(), op.context);
  NX_CHECK(op.rotary_dim >= 0 && op.rotary_dim % 2 == 0 && op.rotary_dim <= op.head_dim, "{} of {} rotate",
           op.rotary_dim, op.head_dim);
  check_packed(x, x.dtype, x.shape[0], op.heads * op.head_dim, op.ld);
}

void check_attention_forward(const Attention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                             const Tensor& logsumexp) {
  check_attention(op, q, k, v, out, logsumexp);
}

void check_attention_backward(const Attention& op, const Tensor& dout, const Tensor& q, const Tensor& k,
                              const Tensor& v, const Tensor& out, const Tensor& logsumexp, const Tensor& scratch,
                              const Tensor& dq, const Tensor& dk, const Tensor& dv) {
  check_attention(op, q, k, v, out, logsumexp);
  check_attention(op, dq, dk, dv, dout, scratch);
  NX_CHECK(dq.dtype == q.dtype, "gradients of {} for {}", name_of(dq.dtype), name_of(q.dtype));
}

void check_embedding_forward(const Tensor& tokens, const Tensor& weight, int64_t first_token, const Tensor& out) {
  NX_CHECK(first_token >= 0, "the vocabulary begins at {}", first_token);
  check_float(weight);
  NX_CHECK(weight.shape.rank() == 2, "{}", weight.shape.str());
  NX_CHECK(tokens.dtype == DType::kI32, "tokens are {}", name_of(tokens.dtype));
  check_is(out, weight.dtype, {tokens.count(), weight.shape[1]});
}

void check_embedding_backward(const Tensor& tokens, const Tensor& dout, int64_t first_token, const Tensor& dweight) {
  NX_CHECK(first_token >= 0, "the vocabulary begins at {}", first_token);
  check_float(dout);
  NX_CHECK(tokens.dtype == DType::kI32, "tokens are {}", name_of(tokens.dtype));
  NX_CHECK(dout.shape.rank() == 2 && dout.shape[0] == tokens.count(), "{} of {} tokens", dout.shape.str(),
           tokens.count());
  NX_CHECK(dweight.shape.rank() == 2, "{}", dweight.shape.str());
  check_wide(dweight, dout.dtype, {dweight.shape[0], dout.shape[1]});
}

void check_cross_entropy(const Tensor& logits, const Tensor& targets, const Tensor& losses) {
  check_logits(logits, targets);
  NX_CHECK(losses.dtype == wide_of(logits.dtype) && losses.count() == logits.shape[0], "{} losses for {}",
           losses.count(), logits.shape.str());
}

void check_cross_entropy_stats(const Tensor& logits, const Tensor& targets, int64_t first_token, const Tensor& stats) {
  check_logits(logits, targets);
  NX_CHECK(first_token >= 0, "the vocabulary begins at {}", first_token);
  check_wide(stats, logits.dtype, {logits.shape[0], 3});
}

void check_cross_entropy_from(const Tensor& logits, const Tensor& targets, int64_t first_token, const Tensor& all_stats,
                              const Tensor& losses) {
  check_cross_entropy(logits, targets, losses);
  NX_CHECK(first_token >= 0, "the vocabulary begins at {}", first_token);
  NX_CHECK(all_stats.shape.rank() == 3 && all_stats.shape[0] >= 1, "{} is not [ranks, rows, 3]", all_stats.shape.str());
  check_wide(all_stats, logits.dtype, {all_stats.shape[0], logits.shape[0], 3});
}

void check_sum_squares(const Tensor& x, const std::vector<FlatRange>& ranges, const Tensor& out) {
  check_float(x);
  NX_CHECK(out.dtype == DType::kF64 && out.count() == 1, "{} {}", name_of(out.dtype), out.shape.str());
  for (const FlatRange& range : ranges)
    NX_CHECK(range.begin >= 0 && range.count >= 0 && range.begin + range.count <= x.count(),
             "{} elements from {} of {}", range.count, range.begin, x.count());
}

void check_adamw(const AdamW& op, const std::vector<UpdateBlock>& blocks, const Tensor& grad_sum_squares,
                 const Tensor& grad, const Tensor& moment1, const Tensor& moment2, const Tensor& master,
                 const Tensor& compute, const Tensor& nonfinite) {
  const int64_t count = grad.count(), state_count = master.count();
  for (const Tensor* wide : {&grad, &moment1, &moment2, &master})
    NX_CHECK(wide->dtype == wide_of(master.dtype), "{} beside {}", name_of(wide->dtype), name_of(master.dtype));
  for (const Tensor* moment : {&moment1, &moment2})
    NX_CHECK(moment->count() == state_count, "{} for {} parameters", moment->shape.str(), state_count);
  if (compute.defined())
    NX_CHECK(compute.count() == count && wide_of(compute.dtype) == master.dtype, "{} {} for {} gradients",
             name_of(compute.dtype), compute.shape.str(), count);
  if (op.clip > 0)
    NX_CHECK(grad_sum_squares.defined() && grad_sum_squares.dtype == DType::kF64 && grad_sum_squares.count() > 0,
             "{} {} to clip by", name_of(grad_sum_squares.dtype), grad_sum_squares.shape.str());
  if (nonfinite.defined())
    NX_CHECK(nonfinite.dtype == DType::kF64 && nonfinite.count() == 1, "{} {} to tell of values that are not finite",
             name_of(nonfinite.dtype), nonfinite.shape.str());
  for (const UpdateBlock& block : blocks) {
    NX_CHECK(block.offset >= 0 && block.state_offset >= 0 && block.rows >= 0 && block.cols >= 0,
             "block of {} x {} at {}, its state at {}", block.rows, block.cols, block.offset, block.state_offset);
    NX_CHECK(block.rows <= 1 || block.row_stride >= block.cols, "rows of {} lie {} apart", block.cols,
             block.row_stride);
    const int64_t extent = block.rows == 0 ? 0 : (block.rows - 1) * block.row_stride + block.cols;
    NX_CHECK(block.offset + extent <= count, "a block ends at {} of {}", block.offset + extent, count);
    NX_CHECK(block.state_offset + extent <= state_count, "the state of a block ends at {} of {}",
             block.state_offset + extent, state_count);
    NX_CHECK(block.step1 >= 1 && block.step2 >= 1, "steps {} and {} count from 1", block.step1, block.step2);
  }
}

}  // namespace nexus::shapes
