// Text of tokens as they come: no piece of it ends inside a character, or where it may be the beginning of a stop text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "workloads/text/tokenizer.h"

namespace nexus {

class TextStream {
 public:
  // Text begins behind the prompt's, and ends before the first of `stops`, none of which is empty.
  TextStream(const Tokenizer& tokenizer, std::vector<int32_t> prompt, std::vector<std::string> stops = {});

  // What is certain now and was not before. Once stopped, nothing.
  std::string add(int32_t token);
  // The rest, of a text that ends here.
  std::string finish();
  bool stopped() const { return stopped_; }  // by one of the stop texts

 private:
  std::string text_up_to(size_t end);

  const Tokenizer& tokenizer_;
  std::vector<int32_t> ids_;
  std::vector<std::string> stops_;
  std::string text_;  // of all ids
  size_t told_ = 0;   // bytes of it
  bool stopped_ = false;
};

// Bytes of `text` without a character at its end that is not whole, or that a tokenizer writes for one (U+FFFD).
size_t whole_characters(const std::string& text);

}  // namespace nexus
