#include "workloads/text/added_tokens.h"

#include <algorithm>
#include <utility>

#include "workloads/text/utf8_text.h"

namespace nexus {
namespace {

size_t two_bytes(std::string_view text, size_t at) {
  return static_cast<size_t>(static_cast<uint8_t>(text[at])) << 8 | static_cast<uint8_t>(text[at + 1]);
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)), of_(256) {
  const auto first = [](const AddedToken& token) { return static_cast<uint8_t>(token.content[0]); };
  std::ranges::sort(tokens_, [&](const AddedToken& a, const AddedToken& b) {
    if (first(a) != first(b)) return first(a) < first(b);
    return a.content.size() != b.content.size() ? a.content.size() > b.content.size() : a.content < b.content;
  });
  for (size_t i = 0; i < tokens_.size(); ++i) {
    auto& [begin, end] = of_[first(tokens_[i])];
    if (end == 0) begin = i;
    end = i + 1;
    const std::string& content = tokens_[i].content;
    if (content.size() > 1)
      begins_.set(two_bytes(content, 0));
    else
      for (size_t next = 0; next < 256; ++next) begins_.set(static_cast<size_t>(first(tokens_[i])) << 8 | next);
  }
}

const AddedToken* AddedTokenFinder::longest_at(std::string_view text, size_t at) const {
  const auto [begin, end] = of_[static_cast<uint8_t>(text[at])];
  for (size_t i = begin; i < end; ++i)
    if (text.substr(at).starts_with(tokens_[i].content)) return &tokens_[i];
  return nullptr;
}

void AddedTokenFinder::find(std::string_view text, const std::function<void(std::string_view)>& between,
                            const std::function<void(const AddedToken&)>& token) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size() && !tokens_.empty();) {
    const bool possible = at + 1 == text.size() || begins_[two_bytes(text, at)];
    const AddedToken* const found = possible ? longest_at(text, at) : nullptr;
    if (found == nullptr) {
      ++at;
      continue;
    }
    const size_t end = at + found->content.size();
    const bool inside_word =
        found->single_word && (ends_with_word(text.substr(0, at)) || begins_with_word(text.substr(end)));
    size_t from = at, to = end;
    at = end;  // the search goes on behind what was found, whatever becomes of it
    if (inside_word) continue;
    if (found->strips_left) from = std::max(done, from - blank_bytes_at_end(text.substr(0, from)));
    if (found->strips_right) to += blank_bytes_at_start(text.substr(to));
    if (from > done) between(text.substr(done, from - done));
    token(*found);
    done = to;
  }
  if (done < text.size()) between(text.substr(done));
}

}  // namespace nexus
