#include "optim/optimizer.h"

namespace nexus {
namespace {

// Extent of `axis` when `generation` was the newest.
int64_t extent_in(const Axis& axis, const Generation& generation) {
  if (axis.width == kFixedWidth) return axis.extent;
  const auto found = generation.widths.find(axis.width);
  NX_CHECK(found != generation.widths.end(), "generation without width {}", axis.width);
  return found->second;
}

// Two blocks that continue each other in memory under the same constants become one: a model that never grew is updated
// in a few long runs.
bool merge(UpdateBlock& last, const UpdateBlock& next) {
  const bool same = last.learning_rate == next.learning_rate && last.weight_decay == next.weight_decay &&
                    last.step1 == next.step1 && last.step2 == next.step2;
  if (!same || last.rows != 1 || next.rows != 1) return false;
  if (last.offset + last.cols != next.offset || last.state_offset + last.cols != next.state_offset) return false;
  last.cols += next.cols;
  last.row_stride = last.cols;
  return true;
}

// Where `box`, a part of the piece, lies in the flat buffers. A piece's own rows follow each other without gaps.
UpdateBlock place(const ParamPiece& piece, const Box& box) {
  const int64_t stride = piece.box.columns;
  const int64_t first = (box.begin_row - piece.box.begin_row) * stride + (box.begin_column - piece.box.begin_column);
  UpdateBlock update;
  update.offset = piece.offset + first;
  update.state_offset = piece.state_offset + first;
  update.rows = box.rows;
  update.cols = box.columns;
  update.row_stride = stride;
  if (box.columns == stride) {  // whole rows are one run
    update.cols *= box.rows;
    update.row_stride = update.cols;
    update.rows = 1;
  }
  return update;
}

}  // namespace

std::vector<GenerationBlock> generation_blocks(const ParamSpec& spec, const std::vector<Generation>& generations) {
  const Axis one{1, kFixedWidth, AxisRole::kProduces};
  const Axis& row_axis = spec.axes[0];
  const Axis& column_axis = spec.axes.size() == 2 ? spec.axes[1] : one;
  std::vector<GenerationBlock> blocks;
  int64_t rows = 0, columns = 0;  // extents of the generation before
  for (size_t g = 0; g < generations.size(); ++g) {
    const int64_t new_rows = extent_in(row_axis, generations[g]), new_columns = extent_in(column_axis, generations[g]);
    const int index = static_cast<int>(g);
    if (rows > 0 && new_columns > columns) blocks.push_back({{0, rows, columns, new_columns - columns}, index});
    if (new_rows > rows) blocks.push_back({{rows, new_rows - rows, 0, new_columns}, index});
    rows = new_rows;
    columns = new_columns;
  }
  NX_CHECK(rows == spec.rows() && columns == spec.columns(), "generations end at {} x {} of {}", rows, columns,
           spec.name);
  return blocks;
}

Optimizer::Optimizer(const AdamW& op, double weight_decay, std::vector<Generation> generations,
                     std::map<std::string, double> rate_scales)
    : op_(op), weight_decay_(weight_decay), rate_scales_(std::move(rate_scales)), generations_(std::move(generations)) {
  NX_CHECK(!generations_.empty());
}

std::vector<UpdateBlock> Optimizer::update_blocks(const ParamTable& table, double learning_rate,
                                                  double newest_learning_rate) const {
  std::vector<UpdateBlock> blocks;
  for (const ParamPiece& piece : state_pieces(table)) {
    const ParamSpec& spec = table[piece.param];
    const auto found = rate_scales_.find(role_of(spec));
    const double rate_scale = found == rate_scales_.end() ? 1 : found->second;
    for (const GenerationBlock& block : generation_blocks(spec, generations_)) {
      const Box box = intersection(piece.box, block.box);
      if (box.count() == 0) continue;
      const auto g = static_cast<size_t>(block.generation);
      const bool newest = g > 0 && g + 1 == generations_.size();
      UpdateBlock update = place(piece, box);
      update.learning_rate = rate_scale * (newest ? newest_learning_rate : learning_rate);
      update.weight_decay = spec.decay && (newest_decays_ || !newest) ? weight_decay_ : 0.0;
      update.step1 = generations_[g].updates1 + 1;
      update.step2 = generations_[g].updates2 + 1;
      if (blocks.empty() || !merge(blocks.back(), update)) blocks.push_back(update);
    }
  }
  return blocks;
}

void Optimizer::step(ParamStore& params, const Tensor& grad_sum_squares, double learning_rate,
                     double newest_learning_rate, const Tensor& nonfinite) {
  const bool copy = params.compute().data != params.master().data;
  params.backend().run(ops::AdamWUpdate{.options = op_,
                                        .blocks = update_blocks(params.table(), learning_rate, newest_learning_rate),
                                        .grad_sum_squares = grad_sum_squares,
                                        .grad = params.grad(),
                                        .moment1 = params.moment1(),
                                        .moment2 = params.moment2(),
                                        .master = params.master(),
                                        .compute = copy ? params.compute() : Tensor{},
                                        .nonfinite = nonfinite});
  for (Generation& generation : generations_) {
    ++generation.updates1;
    ++generation.updates2;
  }
}

}  // namespace nexus
