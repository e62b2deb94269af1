#include "tasks/requests.h"

#include <algorithm>

#include "core/error.h"

namespace nexus {

ScoreRequest encode_request(const Tokenizer& tokenizer, const EncodeOptions& options, const ContinuationText& text,
                            const std::string& place) {
  const size_t end = text.context.find_last_not_of(" \t\n\r\f\v") + 1;  // npos + 1 is 0
  const std::string context = text.context.substr(0, end);
  const std::string continuation = text.context.substr(end) + " " + text.continuation;
  ScoreRequest request{.ids = tokenizer.encode(context + continuation)};
  auto before = static_cast<int64_t>(tokenizer.encode(context).size());
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

}  // namespace nexus
