#include "sampling/text_stream.h"

#include <algorithm>
#include <utility>

namespace nexus {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// Bytes of the character that begins with `lead`; 0 for a byte that begins none.
size_t character_size(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead < 0xE0) return 2;
  if (lead >= 0xE0 && lead < 0xF0) return 3;
  return lead >= 0xF0 && lead < 0xF5 ? 4 : 0;
}

// Bytes at the end of `text` that `word` begins with; not the whole word.
size_t begun(std::string_view text, std::string_view word) {
  for (size_t size = std::min(text.size(), word.size() - 1); size > 0; --size)
    if (text.ends_with(word.substr(0, size))) return size;
  return 0;
}

}  // namespace

size_t whole_characters(const std::string& text) {
  size_t end = text.size();
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    if (character_size(byte) > back) end -= back;
    break;
  }
  while (std::string_view(text).substr(0, end).ends_with(kReplacement)) end -= kReplacement.size();
  return end;
}

TextStream::TextStream(const Tokenizer& tokenizer, std::vector<int32_t> prompt, std::vector<std::string> stops)
    : tokenizer_(tokenizer),
      ids_(std::move(prompt)),
      stops_(std::move(stops)),
      text_(tokenizer.decode(ids_)),
      told_(text_.size()) {}

std::string TextStream::text_up_to(size_t end) {
  if (end <= told_) return "";
  return text_.substr(std::exchange(told_, end), end - told_);
}

std::string TextStream::add(int32_t token) {
  if (stopped_) return "";
  ids_.push_back(token);
  text_ = tokenizer_.decode(ids_);
  size_t end = whole_characters(text_), stop = std::string::npos;
  for (const std::string& word : stops_) stop = std::min(stop, text_.find(word, told_));
  stopped_ = stop != std::string::npos;
  if (stopped_) return text_up_to(stop);
  const std::string_view fresh = std::string_view(text_).substr(std::min(told_, text_.size()));
  for (const std::string& word : stops_) end = std::min(end, text_.size() - begun(fresh, word));
  return text_up_to(end);
}

std::string TextStream::finish() {
  return stopped_ ? "" : text_up_to(text_.size());
}

}  // namespace nexus
