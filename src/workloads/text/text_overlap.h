// Is the text of one token file in another one too? Validation text that is trained on makes every figure too good.
#pragma once

#include <cstdint>
#include <string>

#include "workloads/text/token_file.h"

namespace nexus {

// Whether two token files hold the same ids, whatever documents and types their indexes say. They are read only where
// both have as many, up to the first difference. Throws ErrorKind::kData where a file cannot be read.
bool hold_same_tokens(const TokenFile& a, const TokenFile& b);

// Why two token files are believed to hold the same text, as the end of a sentence about the first; empty where nothing
// tells so. Cheap enough for every launch: the files themselves, their tokens (hold_same_tokens), and the texts that
// their .json name. Throws ErrorKind::kData where a file cannot be read.
std::string same_text_reason(const std::string& prefix, const std::string& other_prefix);

struct TextOverlap {
  // Shorter documents recur by chance and are not counted; so do shorter runs of tokens.
  static constexpr int64_t kLeastDocumentTokens = 8;
  static constexpr int64_t kRunTokens = 32;
  static constexpr int64_t kMaxRuns = 10000;

  // Of `file`, and those that are documents of `other` too: to the token, but for marks (BOS, EOS) that the documents
  // of either file begin or end with.
  int64_t documents = 0, documents_found = 0;
  int64_t first_found = -1;          // the first of them
  int64_t runs = 0, runs_found = 0;  // of kRunTokens, spread evenly over `file`; those that `other` has anywhere
};

// Reads every token of both. Memory: some 100 bytes per document of `file`. Both must come from the same tokenizer.
TextOverlap find_text_overlap(const TokenFile& file, const TokenFile& other,
                              int64_t least_document_tokens = TextOverlap::kLeastDocumentTokens);

}  // namespace nexus
