// The proof of a growth on real data: same predictions, and every new block able to move.
#include <algorithm>
#include <cmath>
#include <memory>

#include "comm/progress.h"
#include "growth/grow.h"
#include "layers/device_batch.h"
#include "model/dry_run.h"
#include "params/replication.h"

namespace nexus {
namespace {

// Where a checking copy stands: cut over tp like the original, whole over dp.
Sharding checking_sharding(const ParamStore& params) {
  Sharding sharding = params.table().sharding();
  sharding.zero = sharding.sequence = false;
  return sharding;
}

// A copy of `params` for checking: computes in f32, or f64 where the original does.
ParamStore checking_store(ProcessGrid& grid, const ParamStore& params, const ParamTable& table, ParamStore::Use use) {
  ParamStore copy(params.backend(), table, params.wide_dtype(), use);
  all_gather_master(grid.dp(), params, copy.master());
  copy.set_norm_scales(params.norm_scales());
  copy.set_growth_masks(params.growth_masks());
  return copy;
}

// Reads tensors of any size through one small buffer: fresh memory for a model's parameters costs more than the copy.
class HostParts {
 public:
  static constexpr int64_t kMost = 4 << 20;  // elements

  // Elements [begin, begin + count) of a wide tensor; valid until the next call.
  const std::vector<double>& read(Backend& backend, const Tensor& tensor, int64_t begin, int64_t count) {
    values_.resize(static_cast<size_t>(count));
    const Tensor part = tensor.flat(begin, count);
    if (tensor.dtype == DType::kF64) {
      backend.copy_out(values_.data(), part);
      return values_;
    }
    narrow_.resize(values_.size());
    backend.copy_out(narrow_.data(), part);
    std::copy(narrow_.begin(), narrow_.end(), values_.begin());
    return values_;
  }

 private:
  std::vector<float> narrow_;
  std::vector<double> values_;
};

// Calls visit(begin, count) for the parts of `elements`.
template <typename Visit>
void for_each_part(int64_t elements, const Visit& visit) {
  for (int64_t begin = 0; begin < elements; begin += HostParts::kMost)
    visit(begin, std::min(HostParts::kMost, elements - begin));
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// Memory and inputs of one batch on a model. Samples are taken one at a time so that the logits of a large vocabulary
// fit.
class Probe {
 public:
  Probe(ProcessGrid& grid, Model& model, ParamStore& params, const GrowthBatch& batch)
      : grid_(grid), model_(model), params_(params), batch_(batch), arena_(make_arena()) {}

  // Calls use(predictions) with those of this rank, still on the device.
  template <typename Use>
  void with_predictions(int64_t sample, const Use& use) {
    run(sample, [&](LayerContext& ctx, const Batch& data) {
      const Tensor out = ctx.alloc_wide({1, model_.predictions_per_sample(batch_.context)});
      model_.predict(ctx, data, out);
      use(out);
    });
  }

  double loss(int64_t sample) {
    double loss = 0;
    run(sample, [&](LayerContext& ctx, const Batch& data) {
      const Tensor out = ctx.alloc_wide({1, model_.output().figures_per_sample(batch_.context)});
      model_.evaluate(ctx, data, out);
      loss = mean(HostParts().read(params_.backend(), out, 0, losses_per_sample()));
    });
    return loss;
  }

  void add_gradients(int64_t sample) {
    run(sample, [&](LayerContext& ctx, const Batch& data) {
      const Tensor out = ctx.alloc_wide({1, losses_per_sample()});
      model_.forward_backward(ctx, data, 1.0 / static_cast<double>(losses_per_sample() * batch_.samples()), out);
    });
  }

 private:
  int64_t losses_per_sample() const { return model_.output().losses_per_sample(batch_.context); }

  LayerContext context() {
    return {params_.backend(), arena_, params_, 1, batch_.context, Pass::kTraining, &grid_.tp()};
  }

  template <typename Body>
  void run(int64_t sample, const Body& body) {
    const Arena::Frame frame(arena_);
    const Batch data = alloc_batch(arena_, model_.batch_fields(batch_.context), 1);
    copy_in(params_.backend(), batch_.data.batch().part(sample, 1), data);
    LayerContext ctx = context();
    body(ctx, data);
    progress::tick();
  }

  Arena make_arena() {
    const bool trains = params_.grad().defined();
    Arena inputs;
    alloc_batch(inputs, model_.batch_fields(batch_.context), 1);
    inputs.alloc(params_.wide_dtype(), {1, model_.output().figures_per_sample(batch_.context)});
    inputs.alloc(params_.wide_dtype(), {1, model_.predictions_per_sample(batch_.context)});
    const ModelUse use = trains ? ModelUse::kTraining : ModelUse::kPrediction;
    auto bytes_of = [&](ModelUse u) {
      return dry_run(model_.config(), params_.compute_dtype(), 1, batch_.context, u, params_.table().sharding())
          .arena_bytes;
    };
    const int64_t bytes = inputs.peak_bytes() + std::max(bytes_of(use), bytes_of(ModelUse::kEvaluation));
    return Arena(params_.backend().allocate(bytes, "a sequence of the growth check"));
  }

  ProcessGrid& grid_;
  Model& model_;
  ParamStore& params_;
  const GrowthBatch& batch_;
  Arena arena_;
};

void compare_functions(ProcessGrid& grid, Backend& backend, Probe& before, Probe& after, const GrowthBatch& batch,
                       GrowthCheck& check) {
  double largest = 0;
  HostParts parts_before, parts_after;
  const auto compare = [&](const Tensor& before_growth, const Tensor& after_growth) {
    for_each_part(before_growth.count(), [&](int64_t begin, int64_t count) {
      const std::vector<double>& a = parts_before.read(backend, before_growth, begin, count);
      const std::vector<double>& b = parts_after.read(backend, after_growth, begin, count);
      for (size_t i = 0; i < a.size(); ++i) {
        const double delta = std::abs(a[i] - b[i]);
        // A NaN must fail the check, and max would lose it.
        check.max_abs_dlogit = std::isfinite(delta) ? std::max(check.max_abs_dlogit, delta) : INFINITY;
        largest = std::max(largest, std::abs(a[i]));
      }
    });
  };
  const auto samples = static_cast<double>(batch.samples());
  for (int64_t s = 0; s < batch.samples(); ++s) {
    before.with_predictions(
        s, [&](const Tensor& a) { after.with_predictions(s, [&](const Tensor& b) { compare(a, b); }); });
    check.loss_before += before.loss(s) / samples;
    check.loss_after += after.loss(s) / samples;
  }
  check.max_abs_dlogit = grid.world().max(check.max_abs_dlogit);  // all ranks must agree on the verdict
  check.relative_dlogit = check.max_abs_dlogit / std::max(grid.world().max(largest), 1e-30);
}

// Which elements of this rank two updates move (1 or 0): the first moves the zero entries off zero, which gives the
// random ones of the same channels a gradient. T: the wide type.
template <typename T>
std::vector<uint8_t> moved_elements(ProcessGrid& grid, Model& model, ParamStore& params, const GrowthBatch& batch,
                                    double learning_rate) {
  Backend& backend = params.backend();
  const auto elements = static_cast<size_t>(params.master().count());
  const auto start = std::make_unique_for_overwrite<T[]>(elements);
  backend.copy_out(start.get(), params.master());
  std::vector<uint8_t> moved(elements, 0);
  std::vector<T> now(std::min(elements, static_cast<size_t>(HostParts::kMost)));
  const Buffer norm = backend.allocate(size_of(DType::kF64), "the gradient norm of the growth check");
  const Tensor sum_squares = norm.tensor(DType::kF64, {1});
  Probe probe(grid, model, params, batch);
  // What has a gradient at all moves by the learning rate: beside a usual eps the small ones of a young model's deep
  // layers would be lost in rounding, and not for ever.
  AdamW adamw;
  adamw.eps = 1e-20;
  Optimizer optimizer(adamw, 0.0, {first_generation(model.config())});
  for (int update = 0; update < 2; ++update) {
    params.zero_grad();
    for (int64_t s = 0; s < batch.samples(); ++s) probe.add_gradients(s);
    backend.run(ops::SumSquares{.x = params.grad(), .ranges = {{0, params.grad().count()}}, .out = sum_squares});
    optimizer.step(params, sum_squares, learning_rate, learning_rate);
    for_each_part(params.master().count(), [&](int64_t begin, int64_t count) {
      backend.copy_out(now.data(), params.master().flat(begin, count));
      // Not assigned: the second update may undo the first.
      for (int64_t i = 0; i < count; ++i)
        moved[static_cast<size_t>(begin + i)] |= now[static_cast<size_t>(i)] != start[static_cast<size_t>(begin + i)];
    });
  }
  return moved;
}

// New parameters of a block on this rank that have not moved.
int64_t unmoved_in(const ParamSpec& spec, const GrowthMove& move, const std::vector<uint8_t>& moved) {
  const Box mine = intersection(move.box, spec.local);
  int64_t unmoved = 0;
  for (int64_t r = 0; r < mine.rows; ++r) {
    const int64_t row = mine.begin_row + r - spec.local.begin_row, column = mine.begin_column - spec.local.begin_column;
    const auto first = static_cast<size_t>(spec.offset + row * spec.local.columns + column);
    for (int64_t c = 0; c < mine.columns; ++c) unmoved += 1 - moved[first + static_cast<size_t>(c)];
  }
  return unmoved;
}

void count_movement(ProcessGrid& grid, const ParamTable& table, const std::vector<GrowthMove>& moves,
                    const std::vector<uint8_t>& moved, GrowthCheck& check) {
  std::vector<double> unmoved;  // exact in f64
  for (const GrowthMove& move : moves) {
    if (!move.is_new) continue;
    NX_CHECK(grid.tp_size() == 1 || table[move.to].sharded(), "{} grows and is replicated", table[move.to].name);
    unmoved.push_back(static_cast<double>(unmoved_in(table[move.to], move, moved)));
  }
  if (unmoved.empty()) return;
  grid.tp().sum(unmoved);
  size_t next = 0;
  for (const GrowthMove& move : moves) {
    if (!move.is_new) continue;
    const auto count = static_cast<int64_t>(unmoved[next++]);
    check.new_params += move.box.count();
    check.unmoved_params += count;
    if (count < move.box.count()) continue;
    check.dead_params += count;
    check.dead_blocks.push_back(move.block);
  }
}

// Rounding only: zeros at the end of a sum leave it as it was, but for the grown widths a library may choose another
// kernel, which cuts sums of some thousand terms otherwise. Of 36 such products one after the other (240M model on a
// GPU) the largest of many logits moved by 3e-6 of the largest logit, of 12 layers without norm on a CPU by 2.07e-6.
// What is not lossless moves it by 1e-3 or more.
double tolerance_of(const ParamStore& params) {
  return params.compute_dtype() == DType::kF64 ? 1e-12 : 2e-5;
}

}  // namespace

GrowthCheck check_growth(ProcessGrid& grid, const ModelConfig& old_config, const ParamStore& old_params,
                         const ModelConfig& new_config, const ParamStore& new_params,
                         const std::vector<GrowthMove>& moves, const GrowthBatch& batch, double learning_rate) {
  GrowthCheck check;
  const Sharding sharding = checking_sharding(new_params);
  Model old_model(old_config, sharding), new_model(new_config, sharding);
  {
    ParamStore before = checking_store(grid, old_params, old_model.table(), ParamStore::Use::kInference);
    ParamStore after = checking_store(grid, new_params, new_model.table(), ParamStore::Use::kInference);
    check.tolerance = tolerance_of(after);
    Probe probe_before(grid, old_model, before, batch), probe_after(grid, new_model, after, batch);
    compare_functions(grid, after.backend(), probe_before, probe_after, batch, check);
  }
  ParamStore copy = checking_store(grid, new_params, new_model.table(), ParamStore::Use::kTraining);
  copy.set_growth_masks({});  // closed, nothing new has a gradient, and no step of a stage computes so
  const std::vector<uint8_t> moved = copy.wide_dtype() == DType::kF64
                                         ? moved_elements<double>(grid, new_model, copy, batch, learning_rate)
                                         : moved_elements<float>(grid, new_model, copy, batch, learning_rate);
  count_movement(grid, new_model.table(), moves, moved, check);
  return check;
}

}  // namespace nexus
