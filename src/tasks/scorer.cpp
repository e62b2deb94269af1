#include "tasks/scorer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include "core/error.h"
#include "layers/device_batch.h"
#include "model/dry_run.h"
#include "system/progress_bar.h"

namespace nexus {
namespace {

// Lengths are rounded up to a multiple of this: shapes repeat, and a GPU chooses its kernels once for each.
constexpr int64_t kLengthStep = 16;

struct ScoreBatch {
  int64_t positions = 0;         // of each of its requests
  std::vector<size_t> requests;  // their numbers
  int64_t tokens() const { return positions * static_cast<int64_t>(requests.size()); }
};

// Longest first, so that what does not fit shows at once.
std::vector<ScoreBatch> make_batches(const std::vector<ScoreRequest>& requests, int64_t batch_tokens) {
  std::vector<size_t> order(requests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return requests[a].ids.size() > requests[b].ids.size(); });
  std::vector<ScoreBatch> batches;
  for (const size_t number : order) {
    if (batches.empty() || batches.back().tokens() + batches.back().positions > batch_tokens) {
      const auto inputs = static_cast<int64_t>(requests[number].ids.size()) - 1;
      batches.push_back({(inputs + kLengthStep - 1) / kLengthStep * kLengthStep, {}});
    }
    batches.back().requests.push_back(number);
  }
  return batches;
}

class Scorer {
 public:
  Scorer(const ScoringContext& context, const std::vector<ScoreRequest>& requests,
         const std::vector<ScoreBatch>& batches)
      : Scorer(context, requests, bytes_for(context, batches)) {}

  // Of one batch, in its order.
  std::vector<ContinuationScore> score(const ScoreBatch& batch) {
    const auto samples = static_cast<int64_t>(batch.requests.size());
    const HostBatch host(context_.model.batch_fields(batch.positions), samples);
    for (int64_t row = 0; row < samples; ++row) fill(host.batch(), row, requests_[batch.requests[as_size(row)]]);
    const Arena::Frame frame(arena_);
    const Batch device = alloc_batch(arena_, host.batch().fields(), samples);
    copy_in(context_.backend, host.batch(), device);
    const Tensor out = arena_.alloc(context_.params.wide_dtype(), statistics_shape(batch.tokens()));
    context_.model.softmax_statistics(
        {context_.backend, arena_, context_.params, samples, batch.positions, Pass::kEvaluation, &context_.grid.tp()},
        device, out);
    const Buffer bytes = host_buffer(out.size_bytes());
    context_.backend.copy_out(bytes.data(), out);
    std::vector<ContinuationScore> scores;
    for (int64_t row = 0; row < samples; ++row) {
      const ScoreRequest& request = requests_[batch.requests[as_size(row)]];
      const int64_t end = row * batch.positions + static_cast<int64_t>(request.ids.size()) - 1;
      scores.push_back(
          out.dtype == DType::kF64
              ? sum_rows(static_cast<const double*>(bytes.data()), batch.tokens(), end - request.scored, end)
              : sum_rows(static_cast<const float*>(bytes.data()), batch.tokens(), end - request.scored, end));
    }
    return scores;
  }

 private:
  Scorer(const ScoringContext& context, const std::vector<ScoreRequest>& requests, int64_t bytes)
      : context_(context),
        requests_(requests),
        own_(has_room(context.arena, bytes) ? Arena() : Arena(allocate(context, bytes))),
        arena_(has_room(context.arena, bytes) ? *context.arena : own_) {}

  static bool has_room(const Arena* arena, int64_t bytes) {
    return arena != nullptr && arena->capacity_bytes() - arena->used_bytes() >= bytes;
  }
  static size_t as_size(int64_t value) { return static_cast<size_t>(value); }
  static Shape shape_of(const ScoringContext& context, int64_t rows) { return {context.grid.tp_size(), rows, 3}; }
  Shape statistics_shape(int64_t rows) const { return shape_of(context_, rows); }

  static Buffer allocate(const ScoringContext& context, int64_t bytes) {
    try {
      return context.backend.allocate(bytes, "a batch");
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kConfig) throw;
      throw Error(error.kind(), error.fact(), error.where(), "lower --batch-tokens, or share the model out with --tp");
    }
  }

  static int64_t bytes_for(const ScoringContext& context, const std::vector<ScoreBatch>& batches) {
    std::set<std::pair<int64_t, int64_t>> shapes;
    for (const ScoreBatch& batch : batches)
      shapes.insert({static_cast<int64_t>(batch.requests.size()), batch.positions});
    int64_t most = 0;
    for (const auto& [samples, positions] : shapes) {
      Arena outside;
      alloc_batch(outside, context.model.batch_fields(positions), samples);
      outside.alloc(context.params.wide_dtype(), shape_of(context, samples * positions));
      const DryRun inside = dry_run(context.model.config(), context.params.compute_dtype(), samples, positions,
                                    ModelUse::kStatistics, context.model.table().sharding());
      most = std::max(most, outside.peak_bytes() + inside.arena_bytes);
    }
    return most;
  }

  // Token 0 fills the row on the right: no row before it attends to it.
  static void fill(const Batch& batch, int64_t row, const ScoreRequest& request) {
    const auto put = [&](const char* field, std::span<const int32_t> ids, int32_t filler) {
      const Tensor out = batch.at(field).rows(row, 1);
      std::fill_n(out.as<int32_t>(), out.count(), filler);
      std::ranges::copy(ids, out.as<int32_t>());
    };
    const std::span<const int32_t> ids(request.ids);
    put("tokens", ids.first(ids.size() - 1), 0);
    put("targets", ids.subspan(1), -1);
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
  Arena own_;
  Arena& arena_;
};

}  // namespace

std::vector<ContinuationScore> score_requests(const ScoringContext& context,
                                              const std::vector<ScoreRequest>& requests) {
  const std::vector<ScoreBatch> batches = make_batches(requests, context.batch_tokens);
  Scorer scorer(context, requests, batches);
  std::vector<double> values(2 * requests.size());  // a log-likelihood and a flag of each
  const auto dp = static_cast<size_t>(context.grid.dp_size());
  int64_t total = 0, done = 0;
  for (const ScoreBatch& batch : batches) total += batch.tokens();
  Progress progress(context.label, total, "tokens");
  for (size_t i = 0; i < batches.size(); ++i) {
    done += batches[i].tokens();  // the other ranks are about as far
    if (i % dp != static_cast<size_t>(context.grid.dp_rank())) continue;
    const std::vector<ContinuationScore> scores = scorer.score(batches[i]);
    for (size_t j = 0; j < scores.size(); ++j) {
      values[2 * batches[i].requests[j]] = scores[j].loglikelihood;
      values[2 * batches[i].requests[j] + 1] = scores[j].greedy ? 1 : 0;
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
