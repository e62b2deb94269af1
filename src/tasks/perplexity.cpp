#include "tasks/perplexity.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <span>

#include "core/error.h"
#include "core/json_text.h"

namespace nexus {
namespace {

// Of the first `end` ids: their text, document by document.
TextSize decoded_size(const EvalText& text, const Tokenizer& tokenizer, int64_t end) {
  TextSize size;
  for (const EvalText::Document& each : text.documents) {
    if (each.first >= end) break;
    const auto count = static_cast<size_t>(std::min(each.tokens, end - each.first));
    bool inside_word = false;
    const TextSize part =
        text_size(tokenizer.decode(std::span(text.ids).subspan(static_cast<size_t>(each.first), count)), inside_word);
    size = {size.words + part.words, size.bytes + part.bytes};
  }
  return size;
}

Figure figure_of(const char* name, const char* unit, double value, double se, size_t items) {
  return {name, unit, value, se, static_cast<int64_t>(items), {}};
}

}  // namespace

PerplexityItems make_perplexity_items(const TaskSpec& task, const EvalText& text, const TaskSources& source,
                                      int64_t limit) {
  const int64_t context = source.encoding.context, stride = task.text.stride == 0 ? context : task.text.stride;
  if (stride > context)
    throw Error(ErrorKind::kConfig, fmt::format("the stride is {}, the model reads {} tokens", stride, context),
                "task " + task.name, "lower the stride, or raise --context");
  PerplexityItems result;
  const auto wants_more = [&] { return limit == 0 || static_cast<int64_t>(result.items.size()) < limit; };
  if (task.text.by_document) {
    for (const EvalText::Document& each : text.documents) {
      if (!wants_more()) break;
      std::vector<EvalWindow> windows = make_windows(each.first, each.tokens, context, stride);
      if (windows.empty()) continue;
      result.size = {result.size.words + each.size.words, result.size.bytes + each.size.bytes};
      result.items.push_back({std::move(windows), each.size});
    }
  } else {
    const auto count = static_cast<int64_t>(text.ids.size());
    for (const EvalWindow& window : make_windows(0, count, context, stride))
      if (wants_more()) result.items.push_back({{window}, {}});
    const int64_t end = result.items.back().windows.front().end;
    result.size = end == count ? text.size : decoded_size(text, source.tokenizer, end);
  }
  for (const PerplexityItems::Item& item : result.items)
    for (const EvalWindow& window : item.windows) result.tokens += window.scored;
  if (result.tokens == 0)
    throw Error(ErrorKind::kData, "there is no text to be scored", text.path, "name a file with text");
  return result;
}

TaskResult count_perplexity(const PerplexityItems& data, bool by_document, const std::vector<double>& loglikelihoods) {
  TaskResult result;
  std::vector<double> sums, counts;
  double total = 0;
  size_t at = 0;
  for (const PerplexityItems::Item& item : data.items) {
    double sum = 0;
    int64_t tokens = 0;
    for (const EvalWindow& window : item.windows) {
      sum += loglikelihoods.at(at++);
      tokens += window.scored;
    }
    nlohmann::ordered_json line{{"id", std::to_string(sums.size())}, {"loglikelihoods", {sum}}, {"tokens", {tokens}}};
    if (by_document) {
      line["words"] = item.size.words;
      line["bytes"] = item.size.bytes;
    }
    result.lines.push_back(json_text(line));
    sums.push_back(-sum);
    counts.push_back(static_cast<double>(tokens));
    total -= sum;
  }
  const auto tokens = static_cast<double>(data.tokens), m = static_cast<double>(sums.size());
  const double rate = total / tokens;
  double squares = 0;
  for (size_t i = 0; i < sums.size(); ++i) squares += (sums[i] - rate * counts[i]) * (sums[i] - rate * counts[i]);
  const double se = sums.size() > 1 ? std::sqrt(m / (m - 1) * squares) : std::numeric_limits<double>::quiet_NaN();
  const auto perplexity = [&](const char* name, double per) {
    if (per > 0)
      result.figures.push_back(
          figure_of(name, "", std::exp(total / per), std::exp(total / per) * se / per, sums.size()));
  };
  perplexity("token_perplexity", tokens);
  perplexity("word_perplexity", static_cast<double>(data.size.words));
  perplexity("byte_perplexity", static_cast<double>(data.size.bytes));
  if (data.size.bytes > 0) {
    const double bits = std::numbers::ln2 * static_cast<double>(data.size.bytes);
    result.figures.push_back(figure_of("bits_per_byte", "bits/byte", total / bits, se / bits, sums.size()));
  }
  return result;
}

}  // namespace nexus
