// The tokens of a tokenizer.json that stand beside its model: they are found in the text before it is split into words.
#pragma once

#include <bitset>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace nexus {

struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool special = false;                            // decodes to nothing
  bool normalized = false;                         // looked for in normalised text, else in the text as it is
  bool single_word = false;                        // not beside a letter, a digit or a sign that joins words
  bool strips_left = false, strips_right = false;  // takes the blanks beside it
};

// Finds tokens as the tokenizers library does: from the left, of several that begin at one place the longest.
class AddedTokenFinder {
 public:
  AddedTokenFinder() = default;
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);

  // Calls between(text) for the text before, between and behind the tokens, where there is some, and token(t) for the
  // tokens, in order.
  void find(std::string_view text, const std::function<void(std::string_view)>& between,
            const std::function<void(const AddedToken&)>& token) const;

 private:
  const AddedToken* longest_at(std::string_view text, size_t at) const;

  std::vector<AddedToken> tokens_;             // by content: the longest of those with the same first byte first
  std::vector<std::pair<size_t, size_t>> of_;  // by the first byte: tokens_[first, second)
  std::bitset<1 << 16> begins_;                // by the first two bytes: some token may begin so
};

}  // namespace nexus
