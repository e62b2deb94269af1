// Weight matrices as layers use them: one product for several matrices wherever their operands lie side by side.
//
// Rows of activations are tokens. Weight gradients are added to the store's wide gradients inside the product (beta =
// 1). All widths are those of this rank's share of the matrices.
#pragma once

#include <string>
#include <vector>

#include "layers/context.h"

namespace nexus {

// The deviation of matrices at birth where nothing else is asked for, as in the published code.
constexpr double kPublishedStd = 0.02;

// The rule for a block's matrices (model.init).
struct MatrixInit {
  bool fan_in = false;  // else kPublishedStd
  int64_t layers = 1;   // L

  // Of a matrix that reads `in` numbers: 1 / sqrt(in).
  double std(int64_t in) const;
  // Of the last one of a residual branch, of which there are 2 L: 1 / sqrt(2 L) of that, so that the stream's variance
  // does not depend on the depth (Radford et al. 2019).
  double branch_end_std(int64_t in) const;
};

// Facts of a matrix, normal(0, init_std). `shard_axis` is the axis that tensor parallelism splits.
ParamSpec matrix_spec(std::string name, Axis rows, Axis cols, int shard_axis, double init_std);

// Axes that growth never changes, and axes that follow a growable width.
Axis fixed_axis(int64_t extent);
Axis producing(int64_t extent, const Width& width);
Axis consuming(int64_t extent, const Width& width);

// Matrices [O_g, I] that read the same input, as one product: y [rows, O_1 + ... + O_G] = x [rows, I] W^T.
class StackedMatrix {
 public:
  // Appends the matrices to the table.
  StackedMatrix(ParamTable& table, const std::vector<ParamSpec>& specs);

  int64_t out_width() const { return out_width_; }
  void forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) const;
  // dW += dy^T x and dx = dy W, summed over the matrices in one product.
  void backward(const LayerContext& ctx, const Tensor& dy, const Tensor& x, const Tensor& dx) const;

 private:
  int first_, count_;
  int64_t out_width_ = 0;
};

// Matrices that each read their own share of the input: y_g = x_g W_g^T with x [rows, G * I], y [rows, O_1 + ... +
// O_G].
class GroupedMatrix {
 public:
  enum class Layout { kOutIn, kInOut };  // W_g is stored [O_g, I], or [I, O_g] (values of Pattention)
  GroupedMatrix(ParamTable& table, const std::vector<ParamSpec>& specs, Layout layout = Layout::kOutIn);

  int64_t out_width() const { return out_width_; }
  void forward(const LayerContext& ctx, const Tensor& x, const Tensor& y) const;
  // dW_g += dy_g^T x_g and dx_g = dy_g W_g.
  void backward(const LayerContext& ctx, const Tensor& dy, const Tensor& x, const Tensor& dx) const;

 private:
  // Neighbouring groups of equal O: one strided-batched product.
  struct Run {
    int param;                    // table index of the first matrix
    int64_t groups, out;          // O of each
    int64_t in_begin, out_begin;  // first column in x and in y
  };
  Mat in_view(const Run& run, const Tensor& x) const;
  Mat out_view(const Run& run, const Tensor& y) const;
  Mat weight_view(const Run& run, const Tensor& stacked) const;  // [O, I] whatever the layout

  Layout layout_;
  int64_t groups_, in_ = 0, out_width_ = 0;
  std::vector<Run> runs_;
};

}  // namespace nexus
