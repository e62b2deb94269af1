// Text and tokenizers for the tests of workloads/text.
#pragma once

#include <zstd.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>

#include "core/rng.h"
#include "workloads/text/tokenizer.h"
#include "workloads/text/vocabulary.h"

namespace nexus::testing {

// About `size_bytes` of prose-like text: words, punctuation, numbers, lines, paragraphs, runs of spaces, tabs, several
// scripts. A pure function of the arguments.
inline std::string sample_text(int64_t size_bytes, uint64_t seed = 1) {
  static const char* const kWords[] = {"the",  "growing", "model", "of",     "tokens", "and",   "layers",
                                       "in",   "a",       "stage", "learns", "to",     "read",  "Nexus",
                                       "with", "widths",  "naïve", "größer", "東京",   "слово", "😀",
                                       "42",   "1999",    "don't", "(see",   "below)", "e.g."};
  static const char* const kGaps[] = {" ",  " ",  " ",    " ",  " ",  " ",    ", ",
                                      ". ", "\n", "\n\n", "  ", "\t", "\r\n", "    "};
  const RandomStream random(seed, "sample text");
  std::string text;
  for (uint64_t i = 0; static_cast<int64_t>(text.size()) < size_bytes; ++i) {
    text += kWords[random.below(2 * i, std::size(kWords))];
    text += kGaps[random.below(2 * i + 1, std::size(kGaps))];
  }
  return text;
}

inline std::string train_sample_model(int64_t vocab_size = 500) {
  return train_vocabulary({sample_text(100000)}, vocab_size);
}

inline const Tokenizer& sample_tokenizer() {
  static const Tokenizer tokenizer = Tokenizer::from_bytes(train_sample_model(), "sample.model");
  return tokenizer;
}

inline std::string zst(const std::string& text) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
  return packed;
}

inline std::string write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

inline std::string file_content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace nexus::testing
