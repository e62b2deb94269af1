// Reads the outline of a SentencePiece model before SentencePiece itself does, and refuses what could harm it.
//
// A model is a protocol buffer (sentencepiece_model.proto). SentencePiece trusts it: over-long pieces crash its loader,
// a hostile normalisation table makes it read out of bounds. This reader copies nothing, does not recurse, and checks
// every length before use. Errors: ErrorKind::kData.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nexus {

struct TokenizerOutline {
  int64_t pieces = 0;
  bool is_bpe = false;                                       // merges of pairs; else unigram, words or characters
  std::string unknown = "<unk>", bos = "<s>", eos = "</s>";  // how the model calls these pieces, if it has them
  // Normalisation as the model asks for it (the defaults are those of the format).
  bool adds_dummy_prefix = true;
  bool removes_extra_whitespace = true;
  bool replaces_characters = false;  // by a table, such as that of NFKC
};

// `name` stands in error messages.
TokenizerOutline check_tokenizer_model(std::string_view model, const std::string& name);

}  // namespace nexus
