#include "tasks/requests.h"

#include <omp.h>

#include <algorithm>
#include <iterator>

#include "core/error.h"
#include "data/worker_pool.h"

namespace nexus {
namespace {

// Tokens of the context that was asked for last: choices share it.
struct ContextLength {
  std::string text;
  int64_t tokens = 0;

  int64_t of(const Tokenizer& tokenizer, const std::string& context) {
    if (context != text) {
      tokens = std::ssize(tokenizer.encode(context));
      text = context;
    }
    return tokens;
  }
};

ScoreRequest encode(const Tokenizer& tokenizer, const EncodeOptions& options, const ContinuationText& text,
                    const std::string& place, ContextLength& length) {
  const size_t end = text.context.find_last_not_of(" \t\n\r\f\v") + 1;  // npos + 1 is 0
  const std::string context = text.context.substr(0, end);
  const std::string continuation = text.context.substr(end) + " " + text.continuation;
  ScoreRequest request{.ids = tokenizer.encode(context + continuation)};
  int64_t before = length.of(tokenizer, context);
  request.scored = static_cast<int64_t>(request.ids.size()) - before;
  if (request.scored < 1)
    throw Error(ErrorKind::kData, fmt::format("the continuation '{}' has no token of its own", text.continuation),
                place, "correct the item, or the task's template");
  if (options.bos && tokenizer.bos_id() >= 0) {
    request.ids.insert(request.ids.begin(), tokenizer.bos_id());
    ++before;
  }
  if (before == 0)
    throw Error(ErrorKind::kData, "nothing comes before the continuation", place,
                "use a tokenizer with BOS, without --no-bos, or correct the task's context");
  if (request.scored > options.context)
    throw Error(ErrorKind::kConfig,
                fmt::format("the continuation has {} tokens, the model reads {}", request.scored, options.context),
                place, "raise --context");
  const int64_t surplus = static_cast<int64_t>(request.ids.size()) - 1 - options.context;
  if (surplus > 0) request.ids.erase(request.ids.begin(), request.ids.begin() + surplus);
  return request;
}

}  // namespace

ScoreRequest encode_request(const Tokenizer& tokenizer, const EncodeOptions& options, const ContinuationText& text,
                            const std::string& place) {
  ContextLength length;
  return encode(tokenizer, options, text, place, length);
}

std::vector<ScoreRequest> encode_requests(const Tokenizer& tokenizer, const EncodeOptions& options,
                                          std::span<const TaskItem> items) {
  constexpr size_t kItemsOfAPart = 64;
  constexpr int kMostThreads = 16;  // enough, and ranks of one node do not know of each other
  const auto part = [&](std::span<const TaskItem> some) {
    std::vector<ScoreRequest> requests;
    ContextLength length;
    for (const TaskItem& item : some)
      for (const ContinuationText& choice : item.choices)
        requests.push_back(encode(tokenizer, options, choice, item.place, length));
    return requests;
  };
  WorkerPool pool(std::min(omp_get_max_threads(), kMostThreads));
  std::vector<std::future<std::vector<ScoreRequest>>> parts;
  for (size_t begin = 0; begin < items.size(); begin += kItemsOfAPart) {
    const auto some = items.subspan(begin, std::min(kItemsOfAPart, items.size() - begin));
    parts.push_back(pool.submit([&part, some] { return part(some); }));
  }
  std::vector<ScoreRequest> requests;
  for (auto& each : parts) std::ranges::move(each.get(), std::back_inserter(requests));
  return requests;
}

}  // namespace nexus
