// Ids of texts, for tokenizers.py: dump_tokens TOKENIZER FILE.
//
// FILE holds texts, each as its number of bytes, a line end and these bytes. For every text a line: its ids, "|", and 1
// if they decode to the text, else 0.
#include <cstdio>
#include <string>

#include "core/files.h"
#include "workloads/text/tokenizer.h"

int main(int count, char** arguments) {
  if (count != 3) return 2;
  try {
    const nexus::Tokenizer tokenizer{std::string(arguments[1])};
    const std::string file = nexus::read_text_file(arguments[2], 1 << 30);
    for (size_t at = 0; at < file.size();) {
      const size_t line_end = file.find('\n', at);
      const std::string text = file.substr(line_end + 1, std::stoul(file.substr(at)));
      at = line_end + 1 + text.size();
      const std::vector<int32_t> ids = tokenizer.encode(text);
      for (const int32_t id : ids) std::printf("%d ", id);
      std::printf("|%d\n", tokenizer.decode(ids) == text ? 1 : 0);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 3;
  }
  return 0;
}
