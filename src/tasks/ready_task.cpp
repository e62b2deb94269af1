#include "tasks/ready_task.h"

#include <algorithm>
#include <numeric>

#include "comm/progress.h"
#include "tasks/perplexity.h"

namespace nexus {
namespace {

// Passes between two questions whether to stop: the ranks share them.
constexpr int64_t kBatchesOfAPart = 64;
// Ids of requests that are held at once.
constexpr int64_t kMostIds = int64_t{1} << 26;

// Requests that are made when their turn comes. Those of one group are scored together.
struct RequestGroups {
  std::vector<std::vector<size_t>> groups;      // numbers of requests
  std::function<int64_t(size_t)> length;        // ids of a request
  std::function<ScoreRequest(size_t)> request;  // by number
  size_t count = 0;                             // of requests
};

// In the order of their numbers; nothing where it must stop.
std::optional<std::vector<ContinuationScore>> score_groups(const ScoringContext& context, const RequestGroups& all,
                                                           const std::function<bool()>& must_stop) {
  std::vector<ContinuationScore> scores(all.count);
  const int64_t most = must_stop ? std::min(kMostIds, kBatchesOfAPart * context.batch_tokens) : kMostIds;
  for (size_t next = 0; next < all.groups.size();) {
    std::vector<size_t> numbers;
    std::vector<ScoreRequest> requests;
    int64_t ids = 0;
    for (bool room = true; room && next < all.groups.size(); ++next) {
      for (const size_t number : all.groups[next]) {
        numbers.push_back(number);
        requests.push_back(all.request(number));
        ids += all.length(number);
      }
      room = ids < most;
    }
    const std::vector<ContinuationScore> part = score_requests(context, requests);
    for (size_t i = 0; i < numbers.size(); ++i) scores[numbers[i]] = part[i];
    progress::tick();
    if (must_stop && context.grid.world().any(must_stop())) return std::nullopt;
  }
  return scores;
}

class ReadyQuestions : public ReadyTask {
 public:
  ReadyQuestions(const TaskSpec& task, const TaskSources& source, int64_t limit)
      : ReadyTask(task),
        data_(read_task_items(task, source.folder, limit)),
        requests_(encode_requests(source.tokenizer, source.encoding, data_.items)) {}

  size_t items() const override { return data_.items.size(); }

  nlohmann::ordered_json source() const override {
    nlohmann::ordered_json json{{"file", data_.path}, {"digest", data_.digest}};
    if (spec().shots.count > 0)
      json["shots"] = {{"count", spec().shots.count},
                       {"seed", spec().shots.seed},
                       {"file", data_.shots_path},
                       {"digest", data_.shots_digest}};
    return json;
  }

  std::optional<TaskResult> run(const ScoringContext& context, const std::function<bool()>& must_stop) const override {
    RequestGroups all{groups(), [this](size_t i) { return static_cast<int64_t>(requests_[i].ids.size()); },
                      [this](size_t i) { return requests_[i]; }, requests_.size()};
    const auto scores = score_groups(context, all, must_stop);
    if (!scores) return std::nullopt;
    std::vector<int64_t> tokens;
    for (const ScoreRequest& request : requests_) tokens.push_back(request.scored);
    return count_scores(spec(), data_.items, *scores, tokens);
  }

 private:
  // An item each, the longest first: parts hold requests of like lengths.
  std::vector<std::vector<size_t>> groups() const {
    std::vector<std::vector<size_t>> groups;
    size_t at = 0;
    for (const TaskItem& item : data_.items) {
      groups.emplace_back(item.choices.size());
      std::iota(groups.back().begin(), groups.back().end(), at);
      at += item.choices.size();
    }
    const auto longest = [this](const std::vector<size_t>& group) {
      size_t most = 0;
      for (const size_t i : group) most = std::max(most, requests_[i].ids.size());
      return most;
    };
    std::ranges::stable_sort(groups, [&](const auto& a, const auto& b) { return longest(a) > longest(b); });
    return groups;
  }

  TaskItems data_;
  std::vector<ScoreRequest> requests_;
};

class ReadyText : public ReadyTask {
 public:
  ReadyText(const TaskSpec& task, const TaskSources& source, int64_t limit)
      : ReadyTask(task),
        context_(source.encoding.context),
        text_(read_eval_text(task, source)),
        data_(make_perplexity_items(task, text_, source, limit)) {
    for (const PerplexityItems::Item& item : data_.items)
      windows_.insert(windows_.end(), item.windows.begin(), item.windows.end());
  }

  size_t items() const override { return data_.items.size(); }

  nlohmann::ordered_json source() const override {
    const TextSpec& text = spec().text;
    return {{"file", text_.path},
            {"digest", text_.digest},
            {"windows", text.by_document ? "document" : "joined"},
            {"stride", text.stride == 0 ? context_ : text.stride},
            {"tokens", data_.tokens},
            {"words", data_.size.words},
            {"bytes", data_.size.bytes}};
  }

  std::optional<TaskResult> run(const ScoringContext& context, const std::function<bool()>& must_stop) const override {
    std::vector<std::vector<size_t>> groups;
    for (size_t i = 0; i < windows_.size(); ++i) groups.push_back({i});
    RequestGroups all{std::move(groups), [this](size_t i) { return windows_[i].end - windows_[i].begin; },
                      [this](size_t i) { return request_of(windows_[i]); }, windows_.size()};
    const auto scores = score_groups(context, all, must_stop);
    if (!scores) return std::nullopt;
    std::vector<double> loglikelihoods;
    for (const ContinuationScore& score : *scores) loglikelihoods.push_back(score.loglikelihood);
    return count_perplexity(data_, spec().text.by_document, loglikelihoods);
  }

 private:
  ScoreRequest request_of(const EvalWindow& window) const {
    return {{text_.ids.begin() + window.begin, text_.ids.begin() + window.end}, window.scored};
  }

  int64_t context_;
  EvalText text_;
  PerplexityItems data_;
  std::vector<EvalWindow> windows_;
};

}  // namespace

std::unique_ptr<ReadyTask> make_ready(const TaskSpec& task, const TaskSources& source, int64_t limit) {
  if (task.score == TaskScore::kPerplexity) return std::make_unique<ReadyText>(task, source, limit);
  return std::make_unique<ReadyQuestions>(task, source, limit);
}

}  // namespace nexus
