// libFuzzer on tokenizer.json: the input is such a file, and behind a zero byte the text that it encodes. Files are
// refused, or give ids of their vocabulary.
#include <algorithm>
#include <string>

#include "core/error.h"
#include "workloads/text/byte_level_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\0'), size);
  const std::string text = input.substr(std::min(end + 1, size));
  try {
    const auto tokenizer = nexus::load_byte_level(input.substr(0, end), "fuzz");
    const std::vector<int32_t> ids = tokenizer->encode(text, false);
    for (const int32_t id : ids)
      if (id < 0 || id >= tokenizer->facts().vocab_size) std::abort();
    tokenizer->decode(ids);
    tokenizer->unknown_bytes(text, true);
    tokenizer->piece_sizes();
  } catch (const nexus::Error& error) {
    if (error.kind() != nexus::ErrorKind::kData) std::abort();
  }
  return 0;
}
