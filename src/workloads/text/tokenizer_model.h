// What stands behind a Tokenizer: a file of one kind (sentencepiece_tokenizer.h, byte_level_tokenizer.h).
// Thread-safe after construction. Errors: ErrorKind::kData.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nexus {

// Bytes of text that a token stands for: more than one number where tokens do not say.
struct PieceSize {
  int64_t least = 0, most = 0;
};

struct TokenizerFacts {
  int64_t vocab_size = 0;
  int32_t bos_id = -1, eos_id = -1, unknown_id = -1;  // -1: there is none
  bool keeps_text = false;
  bool drops_unknown = false;
};

class TokenizerModel {
 public:
  virtual ~TokenizerModel() = default;

  // These are Tokenizer's of the same name.
  virtual std::vector<int32_t> encode(std::string_view text, bool continues) const = 0;
  virtual int64_t unknown_bytes(std::string_view text, bool continues) const = 0;
  virtual std::string decode(std::span<const int32_t> ids) const = 0;  // ids of the vocabulary
  virtual std::vector<PieceSize> piece_sizes() const = 0;
  virtual bool may_cut(std::string_view before, std::string_view after) const = 0;

  const TokenizerFacts& facts() const { return facts_; }

 protected:
  TokenizerFacts facts_;
};

}  // namespace nexus
