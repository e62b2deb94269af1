#include "tasks/packed_requests.h"

#include <algorithm>
#include <numeric>

namespace nexus {
namespace {

// What a model reads of a request.
std::span<const int32_t> inputs_of(const ScoreRequest& request) {
  return std::span(request.ids).first(request.ids.size() - 1);
}

// Tokens at the beginning of `next` that it shares with the request before it. A small part is not worth it: whole
// sequences, as windows of a text are, are attended to faster.
int64_t shared_prefix(std::span<const int32_t> before, std::span<const int32_t> next) {
  const int64_t common = std::ranges::mismatch(before, next).in1 - before.begin();
  return 8 * common < std::ssize(next) ? 0 : common;
}

std::vector<size_t> in_order_of_ids(const std::vector<ScoreRequest>& requests) {
  std::vector<size_t> order(requests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return requests[a].ids < requests[b].ids; });
  return order;
}

int64_t rounded_up(int64_t count, int64_t step) {
  return (count + step - 1) / step * step;
}

}  // namespace

std::vector<RequestBatch> make_request_batches(const std::vector<ScoreRequest>& requests, int64_t batch_tokens,
                                               int64_t row_step) {
  std::vector<RequestBatch> batches;
  for (const size_t number : in_order_of_ids(requests)) {
    const ScoreRequest& request = requests[number];
    const std::span<const int32_t> inputs = inputs_of(request);
    const auto after = [&](const RequestBatch& batch) {
      const int64_t shared =
          batch.numbers.empty() ? 0 : shared_prefix(inputs_of(requests[batch.numbers.back()]), inputs);
      RaggedExtents sum = batch.extents;
      const int64_t rows = std::ssize(inputs) - shared;
      sum.rows += rows;
      sum.runs += rows > 0 ? 1 : 0;
      sum.keys += rows > 0 ? std::ssize(inputs) : 0;
      sum.outputs += request.scored;
      return sum;
    };
    const auto fits = [&](const RaggedExtents& sum) { return sum.rows <= batch_tokens && sum.outputs <= batch_tokens; };
    if (batches.empty() || !fits(after(batches.back()))) batches.emplace_back();
    batches.back().extents = after(batches.back());
    batches.back().numbers.push_back(number);
  }
  // Steps of at most a sixteenth of a batch: what is wasted is less, and the last batch is not much larger than it
  // must.
  const int64_t step = std::clamp<int64_t>(batch_tokens / 16, 1, 256);
  for (RequestBatch& batch : batches) {
    batch.extents.rows = rounded_up(batch.extents.rows, rounded_up(step, row_step));
    batch.extents.outputs = rounded_up(batch.extents.outputs, step);
  }
  return batches;
}

PackedRequests pack_requests(const std::vector<ScoreRequest>& requests, const RequestBatch& batch) {
  PackedRequests packed;
  RaggedLayout& layout = packed.layout;
  std::vector<int32_t> path;  // the rows of the last request's inputs
  std::span<const int32_t> last;
  for (const size_t number : batch.numbers) {
    const ScoreRequest& request = requests[number];
    const std::span<const int32_t> inputs = inputs_of(request);
    const int64_t shared = shared_prefix(last, inputs);
    path.resize(static_cast<size_t>(shared));
    for (const int32_t token : inputs.subspan(path.size())) {
      path.push_back(static_cast<int32_t>(packed.tokens.size()));
      packed.tokens.push_back(token);
    }
    if (std::ssize(path) > shared) layout.add_run(std::ssize(path) - shared, shared, path);
    layout.outputs.insert(layout.outputs.end(), path.end() - request.scored, path.end());
    packed.targets.insert(packed.targets.end(), request.ids.end() - request.scored, request.ids.end());
    last = inputs;
  }
  // What fills the batch up is in no run, and nobody reads it.
  packed.tokens.resize(static_cast<size_t>(batch.extents.rows), 0);
  layout.positions.resize(static_cast<size_t>(batch.extents.rows), 0);
  layout.outputs.resize(static_cast<size_t>(batch.extents.outputs), 0);
  packed.targets.resize(static_cast<size_t>(batch.extents.outputs), -1);
  return packed;
}

}  // namespace nexus
