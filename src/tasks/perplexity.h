// Perplexities of texts and token files: what windows have scored, per token, word and byte.
#pragma once

#include <string>
#include <vector>

#include "tasks/eval_text.h"
#include "tasks/scorer.h"
#include "tasks/task_result.h"

namespace nexus {

// Texts cut into windows. An item is a window, or a document where each is read on its own.
struct PerplexityItems {
  struct Item {
    std::vector<EvalWindow> windows;
    TextSize size;  // of a document
  };
  std::vector<Item> items;
  int64_t tokens = 0;  // scored
  TextSize size;       // of all text that is scored
};

// At most `limit` items (0: all). Throws ErrorKind::kConfig where the stride is longer than the context.
PerplexityItems make_perplexity_items(const TaskSpec& task, const EvalText& text, const TaskSources& source,
                                      int64_t limit);

// `loglikelihoods`: of each window of each item, one after another. With L the sum of all negative log-likelihoods:
// token_perplexity exp(L / tokens), word_perplexity exp(L / words), byte_perplexity exp(L / bytes), bits_per_byte
// L / (ln 2 bytes). Standard errors are over items: that of the ratio L / tokens is, with r the ratio, l and n an
// item's sum and tokens, sqrt(m / (m - 1) * sum((l - r n)^2)) / tokens; the others follow by their derivatives, the
// numbers of words and bytes taken as they are.
TaskResult count_perplexity(const PerplexityItems& items, bool by_document, const std::vector<double>& loglikelihoods);

}  // namespace nexus
