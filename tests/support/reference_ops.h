// The operations of backend/ops/ as plain loops in double, written to be obviously right. Every back end is tested
// against them. Shapes are those of the operations; packed attention operands are pointers with a leading dimension.
#pragma once

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>
#include <vector>

#include "backend/backend.h"

namespace nexus::reference {

using Values = std::vector<double>;

inline Values zeros(int64_t count) {
  return Values(static_cast<size_t>(count), 0.0);
}

// --- matrices. Element (batch, i, j) of the product's operand, which may be transposed.
inline double element(const Mat& m, const double* data, int64_t batch, int64_t i, int64_t j) {
  return data[batch * m.batch_stride + (m.transposed ? j * m.ld + i : i * m.ld + j)];
}

// c += a b over the layouts that the Mats describe; the data comes from the pointers.
inline void add_matmul(const Mat& a, const double* a_data, const Mat& b, const double* b_data, const Mat& c,
                       double* c_data) {
  for (int64_t batch = 0; batch < c.batch; ++batch) {
    for (int64_t i = 0; i < c.rows; ++i) {
      for (int64_t j = 0; j < c.cols; ++j) {
        for (int64_t k = 0; k < a.logical_cols(); ++k)
          c_data[batch * c.batch_stride + i * c.ld + j] +=
              element(a, a_data, batch, i, k) * element(b, b_data, batch, k, j);
      }
    }
  }
}

// to's elements of every matrix; `to` keeps what lies between.
inline void copy_matrix(const Mat& from, const double* source, const Mat& to, double* target) {
  for (int64_t batch = 0; batch < to.batch; ++batch) {
    for (int64_t i = 0; i < to.rows; ++i) {
      for (int64_t j = 0; j < to.cols; ++j)
        target[batch * to.batch_stride + i * to.ld + j] = source[batch * from.batch_stride + i * from.ld + j];
    }
  }
}

// --- activations
inline double gelu(GeluKind kind, double x) {
  if (kind == GeluKind::kErf) return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
  const double y = std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1.0 + std::tanh(y));
}

inline double gelu_slope(GeluKind kind, double x) {
  if (kind == GeluKind::kErf)
    return 0.5 * std::erfc(-x / std::numbers::sqrt2) + x * std::exp(-0.5 * x * x) / std::sqrt(2.0 * std::numbers::pi);
  const double root = std::sqrt(2.0 / std::numbers::pi);
  const double t = std::tanh(root * (x + 0.044715 * x * x * x));
  return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * root * (1.0 + 3.0 * 0.044715 * x * x);
}

inline double silu(double x) {
  return x / (1.0 + std::exp(-x));
}
inline double silu_slope(double x) {
  const double gate = 1.0 / (1.0 + std::exp(-x));
  return gate + x * gate * (1.0 - gate);
}

// scale / (||row|| + eps), 0 where that divides by zero; 1 without a norm.
inline double norm_scale(const NormGelu& op, const double* row, int64_t width, int64_t group) {
  if (op.norm == NormKind::kNone) return 1.0;
  double squares = 0;
  for (int64_t j = 0; j < width; ++j) squares += row[j] * row[j];
  const double length = std::sqrt(squares) + op.eps;
  return length == 0 ? 0.0 : op.scales[static_cast<size_t>(group)] / length;
}

struct NormGeluResult {
  Values a, row_scale;
};

inline NormGeluResult norm_gelu_forward(const NormGelu& op, const Values& h, int64_t rows, int64_t groups,
                                        int64_t width) {
  NormGeluResult result{zeros(rows * groups * width), zeros(rows * groups)};
  for (int64_t row = 0; row < rows * groups; ++row) {
    const double scale = norm_scale(op, &h[static_cast<size_t>(row * width)], width, row % groups);
    result.row_scale[static_cast<size_t>(row)] = scale;
    for (int64_t j = 0; j < width; ++j) {
      const size_t at = static_cast<size_t>(row * width + j);
      result.a[at] = gelu(op.gelu, scale * h[at]);
    }
  }
  return result;
}

// dh_j = sum_i da_i GELU'(u_i) du_i/dh_j with the Jacobian written out: du_i/dh_j = s [i = j] - s h_i h_j / (n (n +
// eps)).
inline Values norm_gelu_backward(const NormGelu& op, const Values& da, const Values& h, int64_t rows, int64_t groups,
                                 int64_t width) {
  Values dh = zeros(rows * groups * width);
  for (int64_t row = 0; row < rows * groups; ++row) {
    const double* in = &h[static_cast<size_t>(row * width)];
    const double scale = norm_scale(op, in, width, row % groups);
    double squares = 0;
    for (int64_t j = 0; j < width; ++j) squares += in[j] * in[j];
    const double norm = std::sqrt(squares);
    for (int64_t j = 0; j < width; ++j) {
      double sum = 0;
      for (int64_t i = 0; i < width; ++i) {
        double jacobian = i == j ? scale : 0.0;
        if (op.norm == NormKind::kL2 && norm > 0) jacobian -= scale * in[i] * in[j] / (norm * (norm + op.eps));
        sum += da[static_cast<size_t>(row * width + i)] * gelu_slope(op.gelu, scale * in[i]) * jacobian;
      }
      dh[static_cast<size_t>(row * width + j)] = sum;
    }
  }
  return dh;
}

// sum over each row of x y.
inline Values row_dots(const Values& x, const Values& y, int64_t width) {
  Values sums = zeros(static_cast<int64_t>(x.size()) / width);
  for (size_t i = 0; i < x.size(); ++i) sums[i / static_cast<size_t>(width)] += x[i] * y[i];
  return sums;
}

// r = sum(u du) of every row, given the rows' scales.
inline Values norm_gelu_backward_sums(const NormGelu& op, const Values& da, const Values& h, const Values& row_scale,
                                      int64_t width) {
  Values u = h, du = da;
  for (size_t i = 0; i < h.size(); ++i) {
    u[i] *= row_scale[i / static_cast<size_t>(width)];
    du[i] *= gelu_slope(op.gelu, u[i]);
  }
  return row_dots(u, du, width);
}

// width: that of `a`; a row of h holds 2 * width elements for kSwiGlu.
inline Values gate_forward(GateKind gate, GeluKind kind, const Values& h, int64_t rows, int64_t width) {
  Values a = zeros(rows * width);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t j = 0; j < width; ++j) {
      double& out = a[static_cast<size_t>(row * width + j)];
      if (gate == GateKind::kGelu) {
        out = gelu(kind, h[static_cast<size_t>(row * width + j)]);
      } else {
        const size_t at = static_cast<size_t>(row * 2 * width + j);
        out = silu(h[at]) * h[at + static_cast<size_t>(width)];
      }
    }
  }
  return a;
}

inline Values gate_backward(GateKind gate, GeluKind kind, const Values& da, const Values& h, int64_t rows,
                            int64_t width) {
  Values dh = zeros(static_cast<int64_t>(h.size()));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t j = 0; j < width; ++j) {
      const double gradient = da[static_cast<size_t>(row * width + j)];
      if (gate == GateKind::kGelu) {
        const size_t at = static_cast<size_t>(row * width + j);
        dh[at] = gradient * gelu_slope(kind, h[at]);
      } else {
        const size_t at = static_cast<size_t>(row * 2 * width + j), up = at + static_cast<size_t>(width);
        dh[at] = gradient * h[up] * silu_slope(h[at]);
        dh[up] = gradient * silu(h[at]);
      }
    }
  }
  return dh;
}

// --- residual stream
struct RowNormResult {
  Values y, stats;  // stats: mean, 1 / deviation per row
};

// x is the norm's input (delta already added); `weight` may be empty.
inline RowNormResult row_norm(const RowNorm& op, const Values& x, const Values& weight, int64_t rows, int64_t width) {
  RowNormResult result{zeros(rows * width), zeros(rows * 2)};
  for (int64_t row = 0; row < rows; ++row) {
    const double* in = &x[static_cast<size_t>(row * width)];
    double mean = 0, squares = 0;
    if (op.kind == RowNormKind::kLayer) {
      for (int64_t j = 0; j < width; ++j) mean += in[j] / static_cast<double>(width);
    }
    for (int64_t j = 0; j < width; ++j) squares += (in[j] - mean) * (in[j] - mean) / static_cast<double>(width);
    const double inverse = 1.0 / std::sqrt(squares + op.eps);
    result.stats[static_cast<size_t>(row * 2)] = mean;
    result.stats[static_cast<size_t>(row * 2 + 1)] = inverse;
    for (int64_t j = 0; j < width; ++j)
      result.y[static_cast<size_t>(row * width + j)] =
          (in[j] - mean) * inverse * (weight.empty() ? 1.0 : weight[static_cast<size_t>(j)]);
  }
  return result;
}

struct RowNormGradient {
  Values dx, dweight;
};

inline RowNormGradient row_norm_backward(const RowNorm& op, const Values& dy, const Values& x, const Values& weight,
                                         int64_t rows, int64_t width) {
  RowNormGradient result{zeros(rows * width), zeros(width)};
  const Values stats = row_norm(op, x, weight, rows, width).stats;
  const double n = static_cast<double>(width);
  for (int64_t row = 0; row < rows; ++row) {
    const double mean = stats[static_cast<size_t>(row * 2)], inverse = stats[static_cast<size_t>(row * 2 + 1)];
    const auto normal = [&](int64_t j) { return (x[static_cast<size_t>(row * width + j)] - mean) * inverse; };
    const auto gradient = [&](int64_t j) {
      return dy[static_cast<size_t>(row * width + j)] * (weight.empty() ? 1.0 : weight[static_cast<size_t>(j)]);
    };
    double sum = 0, product = 0;
    for (int64_t j = 0; j < width; ++j) {
      sum += gradient(j);
      product += gradient(j) * normal(j);
      result.dweight[static_cast<size_t>(j)] += dy[static_cast<size_t>(row * width + j)] * normal(j);
    }
    if (op.kind == RowNormKind::kRms) sum = 0;
    for (int64_t j = 0; j < width; ++j)
      result.dx[static_cast<size_t>(row * width + j)] = inverse * (gradient(j) - sum / n - normal(j) * product / n);
  }
  return result;
}

// --- attention
// Row r has position r % context, or positions[r] if there are any.
inline void rope(const Rope& op, double* x, int64_t tokens, bool inverse, const std::vector<int32_t>& positions = {}) {
  for (int64_t token = 0; token < tokens; ++token) {
    const int64_t at = positions.empty() ? token % op.context : positions[static_cast<size_t>(token)];
    for (int64_t head = 0; head < op.heads; ++head) {
      double* first = x + token * op.ld + head * op.head_dim;
      double* second = first + op.rotary_dim / 2;
      for (int64_t i = 0; i < op.rotary_dim / 2; ++i) {
        const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(op.rotary_dim);
        const double position = static_cast<double>(at);
        const double angle = (inverse ? -1.0 : 1.0) * position * std::pow(op.theta, exponent);
        const double a = first[i], b = second[i];
        first[i] = a * std::cos(angle) - b * std::sin(angle);
        second[i] = b * std::cos(angle) + a * std::sin(angle);
      }
    }
  }
}

// Visits every (batch, head, query) that exists, by the lengths if there are any; `probabilities` has an entry for each
// key that the query sees. visit(batch, head, query, probabilities, lse)
template <typename Visit>
void for_each_query(const Attention& op, const std::vector<int32_t>& lengths, const double* q, const double* k,
                    const Visit& visit) {
  for (int64_t batch = 0; batch < op.batch; ++batch) {
    for (int64_t head = 0; head < op.heads; ++head) {
      const int64_t kv_head = head / (op.heads / op.kv_heads);
      const int64_t tokens = lengths.empty() ? op.context : lengths[static_cast<size_t>(batch)];
      for (int64_t t = 0; t < tokens; ++t) {
        const double* query = q + (batch * op.context + t) * op.ld + head * op.head_dim;
        Values p(static_cast<size_t>(op.causal() ? t + 1 : tokens));
        for (int64_t s = 0; s < std::ssize(p); ++s) {
          const double* key = k + (batch * op.context + s) * op.ld + kv_head * op.head_dim;
          double dot = 0;
          for (int64_t d = 0; d < op.head_dim; ++d) dot += query[d] * key[d];
          p[static_cast<size_t>(s)] = dot / std::sqrt(static_cast<double>(op.head_dim));
        }
        const double highest = *std::max_element(p.begin(), p.end());
        double sum = 0;
        for (const double score : p) sum += std::exp(score - highest);
        const double logsumexp = highest + std::log(sum);
        for (double& score : p) score = std::exp(score - logsumexp);
        visit(batch, head, t, p, logsumexp);
      }
    }
  }
}

struct AttentionResult {
  Values out, logsumexp;
};

inline AttentionResult attention_forward(const Attention& op, const double* q, const double* k, const double* v,
                                         const std::vector<int32_t>& lengths = {}) {
  AttentionResult result{zeros(op.batch * op.context * op.heads * op.head_dim),
                         zeros(op.batch * op.heads * op.context)};
  for_each_query(op, lengths, q, k, [&](int64_t batch, int64_t head, int64_t t, const Values& p, double logsumexp) {
    const int64_t kv_head = head / (op.heads / op.kv_heads);
    result.logsumexp[static_cast<size_t>((batch * op.heads + head) * op.context + t)] = logsumexp;
    double* out = &result.out[static_cast<size_t>(((batch * op.context + t) * op.heads + head) * op.head_dim)];
    for (int64_t s = 0; s < std::ssize(p); ++s) {
      const double* value = v + (batch * op.context + s) * op.ld + kv_head * op.head_dim;
      for (int64_t d = 0; d < op.head_dim; ++d) out[d] += p[static_cast<size_t>(s)] * value[d];
    }
  });
  return result;
}

// Rows of q that are in no run keep what lies in `out`.
inline void ragged_attention_forward(const RaggedAttention& op, const std::vector<int32_t>& runs,
                                     const std::vector<int32_t>& keys, const double* q, const double* k,
                                     const double* v, Values& out) {
  for (size_t run = 0; run < runs.size(); run += 4) {
    const int64_t first = runs[run], queries = runs[run + 1], count = runs[run + 3];
    for (int64_t i = 0; i < queries; ++i) {
      for (int64_t head = 0; head < op.heads; ++head) {
        const double* query = q + (first + i) * op.q_ld + head * op.head_dim;
        double* to = &out[static_cast<size_t>(((first + i) * op.heads + head) * op.head_dim)];
        std::fill_n(to, op.head_dim, 0.0);
        double sum = 0;
        for (int64_t j = 0; j < count - queries + i + 1; ++j) {
          const int64_t slot = keys[static_cast<size_t>(runs[run + 2] + j)];
          const int64_t at = slot * op.kv_ld + head / (op.heads / op.kv_heads) * op.head_dim;
          double dot = 0;
          for (int64_t d = 0; d < op.head_dim; ++d) dot += query[d] * k[at + d];
          const double weight = std::exp(dot / std::sqrt(static_cast<double>(op.head_dim)));
          for (int64_t d = 0; d < op.head_dim; ++d) to[d] += weight * v[at + d];
          sum += weight;
        }
        for (int64_t d = 0; d < op.head_dim; ++d) to[d] /= sum;
      }
    }
  }
}

// Adds to dq, dk, dv, which are packed like q, k, v.
inline void attention_backward(const Attention& op, const Values& dout, const double* q, const double* k,
                               const double* v, double* dq, double* dk, double* dv,
                               const std::vector<int32_t>& lengths = {}) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(op.head_dim));
  for_each_query(op, lengths, q, k, [&](int64_t batch, int64_t head, int64_t t, const Values& p, double) {
    const int64_t kv_head = head / (op.heads / op.kv_heads);
    const double* gradient = &dout[static_cast<size_t>(((batch * op.context + t) * op.heads + head) * op.head_dim)];
    const int64_t query_at = (batch * op.context + t) * op.ld + head * op.head_dim;
    const auto kv_at = [&](int64_t s) { return (batch * op.context + s) * op.ld + kv_head * op.head_dim; };
    Values dp(p.size());
    double mean = 0;
    for (int64_t s = 0; s < std::ssize(p); ++s) {
      double& sum = dp[static_cast<size_t>(s)];
      for (int64_t d = 0; d < op.head_dim; ++d) sum += gradient[d] * v[kv_at(s) + d];
      mean += p[static_cast<size_t>(s)] * sum;
    }
    for (int64_t s = 0; s < std::ssize(p); ++s) {
      const double weight = p[static_cast<size_t>(s)], dscore = weight * (dp[static_cast<size_t>(s)] - mean) * scale;
      for (int64_t d = 0; d < op.head_dim; ++d) {
        dv[kv_at(s) + d] += weight * gradient[d];
        dq[query_at + d] += dscore * k[kv_at(s) + d];
        dk[kv_at(s) + d] += dscore * q[query_at + d];
      }
    }
  });
}

// --- loss
struct CrossEntropyResult {
  Values losses, gradient;
};

inline CrossEntropyResult cross_entropy(const Values& logits, const std::vector<int32_t>& targets, int64_t width,
                                        double grad_scale) {
  CrossEntropyResult result{zeros(static_cast<int64_t>(targets.size())), zeros(static_cast<int64_t>(logits.size()))};
  for (size_t row = 0; row < targets.size(); ++row) {
    if (targets[row] < 0) continue;
    const double* in = &logits[row * static_cast<size_t>(width)];
    const double highest = *std::max_element(in, in + width);
    double sum = 0;
    for (int64_t j = 0; j < width; ++j) sum += std::exp(in[j] - highest);
    result.losses[row] = highest + std::log(sum) - in[targets[row]];
    for (int64_t j = 0; j < width; ++j)
      result.gradient[row * static_cast<size_t>(width) + static_cast<size_t>(j)] =
          grad_scale * (std::exp(in[j] - highest) / sum - (j == targets[row] ? 1.0 : 0.0));
  }
  return result;
}

// [rows, 3]: maximum, sum(exp(logit - maximum)), the target's logit or 0 where it is not in the slice.
inline Values cross_entropy_stats(const Values& logits, const std::vector<int32_t>& targets, int64_t width,
                                  int64_t first_token) {
  Values stats;
  for (size_t row = 0; row < targets.size(); ++row) {
    const double* in = &logits[row * static_cast<size_t>(width)];
    const int64_t column = targets[row] < 0 ? -1 : targets[row] - first_token;
    const double highest = *std::max_element(in, in + width);
    double sum = 0;
    for (int64_t j = 0; j < width; ++j) sum += std::exp(in[j] - highest);
    stats.insert(stats.end(), {highest, sum, column >= 0 && column < width ? in[column] : 0.0});
  }
  return stats;
}

// --- optimizer: one parameter, PyTorch's order of operations.
struct AdamState {
  double parameter, moment1, moment2;
};

inline AdamState adamw(const AdamW& op, const UpdateBlock& block, double clip_factor, double grad, AdamState state) {
  grad *= clip_factor;
  state.moment1 = op.beta1 * state.moment1 + (1.0 - op.beta1) * grad;
  state.moment2 = op.beta2 * state.moment2 + (1.0 - op.beta2) * grad * grad;
  const double m = state.moment1 / (1.0 - std::pow(op.beta1, static_cast<double>(block.step1)));
  const double v = state.moment2 / (1.0 - std::pow(op.beta2, static_cast<double>(block.step2)));
  state.parameter -= block.learning_rate * block.weight_decay * state.parameter;
  state.parameter -= block.learning_rate * m / (std::sqrt(v) + op.eps);
  return state;
}

}  // namespace nexus::reference
