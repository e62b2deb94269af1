// A tokenizer.json of the tokenizers library, of the byte-level BPE kind, as plain data.
//
// Everything of another kind is refused by name: other models (WordPiece, Unigram, WordLevel), normalizers than NFC,
// pre-tokenizers than Split, Digits and ByteLevel (last, and there), and what would change ids in a way that is not
// followed here (dropout, prefixes and suffixes of words). Truncation and padding are not applied. Errors:
// ErrorKind::kData, naming the field.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "workloads/text/added_tokens.h"

namespace nexus {

struct TokenizerSplit {
  std::string pattern;   // Oniguruma's syntax (split_pattern.h)
  bool removes = false;  // what matches is left out, else it is a part of its own
  bool keeps_matches =
      false;  // `invert`: the matches are kept, and what lies between them is handled as `removes` says
};

struct TokenizerMerge {
  int32_t left = 0, right = 0, merged = 0;
};

struct TokenizerJson {
  bool nfc = false;
  std::vector<TokenizerSplit> splits;  // one after the other
  bool adds_space = false;             // before what the splits leave, unless it begins with one
  bool splits_words = false;           // then, by the pattern of GPT-2

  std::vector<std::string>
      tokens;  // of the model, by id, in characters that stand for bytes; empty where there is none
  std::vector<TokenizerMerge> merges;  // by rank
  bool whole_words_first = false;      // `ignore_merges`: a word that is a token is that token
  int32_t unknown_id = -1;             // stands for characters without a token; -1: they are dropped
  bool fuses_unknown = false;

  std::vector<AddedToken> added;
  int64_t vocab_size = 0;            // the largest id, and one
  int32_t bos_id = -1, eos_id = -1;  // by the template, else by name

  static TokenizerJson parse(const std::string& file, const std::string& name);
};

// The bytes that a model's token stands for: each character is one byte (GPT-2's bytes_to_unicode). False where some
// character is none of these 256.
bool token_to_bytes(std::string_view token, std::string& bytes);

}  // namespace nexus
