#include "sampling/generator.h"

#include <algorithm>
#include <numeric>

#include "layers/device_batch.h"
#include "model/dry_run.h"

namespace nexus {
namespace {

// Of a long prompt, so many tokens at a time: enough for fast products, and memory for a pass stays small.
constexpr int64_t kMostRows = 512;

}  // namespace

Generator::Generator(Backend& backend, Communicator& tp, Model& model, ParamStore& params, int64_t limit)
    : backend_(backend),
      tp_(tp),
      model_(model),
      params_(params),
      limit_(limit),
      slices_(static_cast<size_t>(tp.size())),
      cache_(backend, model.config(), params.compute_dtype(), tp.size(), limit),
      arena_(allocate()) {
  slices_[static_cast<size_t>(tp.rank())] = static_cast<double>(model.predictions_per_sample(1));
  tp.sum(slices_);
}

Buffer Generator::allocate() {
  const RaggedExtents extents{std::min(limit_, kMostRows), 1, limit_, 1};
  Arena outside;
  alloc_batch(outside, model_.batch_fields(extents.rows, 1), 1);
  alloc_ragged(outside, extents, limit_);
  outside.alloc(params_.wide_dtype(), {1, model_.predictions_per_sample(1)});
  const DryRun inside =
      dry_run(model_.config(), params_.compute_dtype(), extents, ModelUse::kPrediction, model_.table().sharding());
  return backend_.allocate(outside.peak_bytes() + inside.arena_bytes, "a pass");
}

std::vector<double> Generator::read(std::span<const int32_t> ids) {
  NX_CHECK(!ids.empty() && length_ + std::ssize(ids) <= limit_, "{} tokens after {} of {}", ids.size(), length_,
           limit_);
  std::vector<double> logits;
  while (!ids.empty()) {
    const size_t count = std::min(ids.size(), static_cast<size_t>(kMostRows));
    pass(ids.first(count), logits);
    ids = ids.subspan(count);
  }
  return logits;
}

void Generator::pass(std::span<const int32_t> ids, std::vector<double>& logits) {
  const int64_t rows = std::ssize(ids), local = model_.predictions_per_sample(1);
  RaggedLayout layout;
  std::vector<int32_t> slots(static_cast<size_t>(length_ + rows));
  std::iota(slots.begin(), slots.end(), 0);
  layout.add_run(rows, length_, slots);
  layout.outputs = {static_cast<int32_t>(rows - 1)};
  const HostBatch host(model_.batch_fields(rows, 1), 1);
  std::ranges::copy(ids, host.batch().at("tokens").as<int32_t>());
  *host.batch().at("targets").as<int32_t>() = -1;
  const Arena::Frame frame(arena_);
  const Batch device = alloc_batch(arena_, host.batch().fields(), 1);
  copy_in(backend_, host.batch(), device);
  RaggedRows ragged = copy_in(backend_, arena_, layout, limit_);
  ragged.cache = cache_.layers();
  ragged.first_slot = length_;
  const Tensor out = arena_.alloc(params_.wide_dtype(), {1, local});
  LayerContext ctx{backend_, arena_, params_, 1, rows, Pass::kEvaluation, &tp_};
  ctx.ragged = &ragged;
  model_.predict(ctx, device, out);
  length_ += rows;

  const Buffer bytes = host_buffer(out.size_bytes());
  backend_.copy_out(bytes.data(), out);
  logits.assign(static_cast<size_t>(std::accumulate(slices_.begin(), slices_.end(), 0.0)), 0.0);
  const auto before = static_cast<ptrdiff_t>(std::accumulate(slices_.begin(), slices_.begin() + tp_.rank(), 0.0));
  const auto copy = [&](const auto* from) { std::copy(from, from + local, logits.begin() + before); };
  if (out.dtype == DType::kF64)
    copy(static_cast<const double*>(bytes.data()));
  else
    copy(static_cast<const float*>(bytes.data()));
  if (tp_.size() > 1) tp_.sum(logits);
}

}  // namespace nexus
