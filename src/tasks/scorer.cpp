#include "tasks/scorer.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "layers/device_batch.h"
#include "model/dry_run.h"
#include "system/progress_bar.h"
#include "tasks/packed_requests.h"

namespace nexus {
namespace {

class Scorer {
 public:
  Scorer(const ScoringContext& context, const std::vector<ScoreRequest>& requests,
         const std::vector<RequestBatch>& batches)
      : context_(context), requests_(requests) {
    for (const ScoreRequest& request : requests)
      position_limit_ = std::max(position_limit_, std::ssize(request.ids) - 1);
    const int64_t bytes = bytes_for(batches);
    const Arena* given = context.arena;
    if (given != nullptr && given->capacity_bytes() - given->used_bytes() >= bytes) return;
    own_ = Arena(allocate(bytes));
    context_.arena = &own_;
  }
  Scorer(const Scorer&) = delete;  // it points into itself

  // Of one batch, in its order.
  std::vector<ContinuationScore> score(const RequestBatch& batch) {
    const PackedRequests packed = pack_requests(requests_, batch);
    const auto& [rows, runs, keys, outputs] = batch.extents;
    const HostBatch host(context_.model.batch_fields(rows, outputs), 1);
    std::ranges::copy(packed.tokens, host.batch().at("tokens").as<int32_t>());
    std::ranges::copy(packed.targets, host.batch().at("targets").as<int32_t>());
    Arena& arena = *context_.arena;
    const Arena::Frame frame(arena);
    const Batch device = alloc_batch(arena, host.batch().fields(), 1);
    copy_in(context_.backend, host.batch(), device);
    const RaggedRows ragged = copy_in(context_.backend, arena, packed.layout, position_limit_);
    const Tensor out = arena.alloc(context_.params.wide_dtype(), statistics_shape(outputs));
    LayerContext ctx{context_.backend, arena, context_.params, 1, rows, Pass::kEvaluation, &context_.grid.tp()};
    ctx.ragged = &ragged;
    context_.model.softmax_statistics(ctx, device, out);
    const Buffer bytes = host_buffer(out.size_bytes());
    context_.backend.copy_out(bytes.data(), out);
    std::vector<ContinuationScore> scores;
    int64_t end = 0;
    for (const size_t number : batch.numbers) {
      const int64_t begin = end;
      end += requests_[number].scored;
      scores.push_back(out.dtype == DType::kF64
                           ? sum_rows(static_cast<const double*>(bytes.data()), outputs, begin, end)
                           : sum_rows(static_cast<const float*>(bytes.data()), outputs, begin, end));
    }
    return scores;
  }

 private:
  Shape statistics_shape(int64_t rows) const { return {context_.grid.tp_size(), rows, 3}; }

  Buffer allocate(int64_t bytes) const {
    try {
      return context_.backend.allocate(bytes, "a batch");
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kConfig) throw;
      throw Error(error.kind(), error.fact(), error.where(), "lower --batch-tokens, or share the model out with --tp");
    }
  }

  // Enough for each batch: a pass takes no less memory for more of anything.
  int64_t bytes_for(const std::vector<RequestBatch>& batches) const {
    RaggedExtents most;
    for (const auto& [numbers, extents] : batches) {
      most.rows = std::max(most.rows, extents.rows);
      most.runs = std::max(most.runs, extents.runs);
      most.keys = std::max(most.keys, extents.keys);
      most.outputs = std::max(most.outputs, extents.outputs);
    }
    Arena outside;
    alloc_batch(outside, context_.model.batch_fields(most.rows, most.outputs), 1);
    alloc_ragged(outside, most, position_limit_);
    outside.alloc(context_.params.wide_dtype(), statistics_shape(most.outputs));
    const DryRun inside = dry_run(context_.model.config(), context_.params.compute_dtype(), most, ModelUse::kStatistics,
                                  context_.model.table().sharding());
    return outside.peak_bytes() + inside.arena_bytes;
  }

  // Rows [begin, end) of [ranks, rows, 3] statistics: maximum, sum(exp(logit - maximum)), the target's logit.
  template <typename T>
  ContinuationScore sum_rows(const T* stats, int64_t rows, int64_t begin, int64_t end) const {
    const int64_t ranks = context_.grid.tp_size();
    ContinuationScore score{0, true};
    for (int64_t row = begin; row < end; ++row) {
      const auto part = [&](int64_t rank) { return stats + (rank * rows + row) * 3; };
      double highest = part(0)[0], sum = 0, target = 0;
      for (int64_t rank = 1; rank < ranks; ++rank) highest = std::max<double>(highest, part(rank)[0]);
      for (int64_t rank = 0; rank < ranks; ++rank) {
        sum += part(rank)[1] * std::exp(part(rank)[0] - highest);
        target += part(rank)[2];
      }
      score.loglikelihood += target - highest - std::log(sum);
      score.greedy = score.greedy && target >= highest;
    }
    return score;
  }

  ScoringContext context_;
  const std::vector<ScoreRequest>& requests_;
  int64_t position_limit_ = 0;
  Arena own_;
};

}  // namespace

std::vector<ContinuationScore> score_requests(const ScoringContext& context,
                                              const std::vector<ScoreRequest>& requests) {
  if (requests.empty()) return {};
  const std::vector<RequestBatch> batches =
      make_request_batches(requests, context.batch_tokens, context.grid.tp_size());
  Scorer scorer(context, requests, batches);
  std::vector<double> values(2 * requests.size());  // a log-likelihood and a flag of each
  const auto dp = static_cast<size_t>(context.grid.dp_size());
  int64_t total = 0, done = 0;
  for (const RequestBatch& batch : batches) total += batch.extents.rows;
  Progress progress(context.label, total, "tokens");
  for (size_t i = 0; i < batches.size(); ++i) {
    done += batches[i].extents.rows;  // the other ranks are about as far
    if (i % dp != static_cast<size_t>(context.grid.dp_rank())) continue;
    const std::vector<ContinuationScore> scores = scorer.score(batches[i]);
    for (size_t j = 0; j < scores.size(); ++j) {
      values[2 * batches[i].numbers[j]] = scores[j].loglikelihood;
      values[2 * batches[i].numbers[j] + 1] = scores[j].greedy ? 1 : 0;
    }
    progress.update(done);
  }
  context.grid.dp().sum(values);
  progress.finish();
  std::vector<ContinuationScore> result;
  for (size_t i = 0; i < values.size(); i += 2) {
    if (!std::isfinite(values[i]))
      throw Error(ErrorKind::kNumeric, fmt::format("a log-likelihood is {}", values[i]), context.label,
                  "`nexus ckpt verify` tells whether the checkpoint's weights are finite");
    result.push_back({values[i], values[i + 1] > 0});
  }
  return result;
}

}  // namespace nexus
