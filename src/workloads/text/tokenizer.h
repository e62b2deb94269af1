// Text to token ids and back, by a file of either kind:
//
//   SentencePiece model    FILE.model, a protocol buffer (sentencepiece_tokenizer.h)
//   tokenizer.json         byte-level BPE of the tokenizers library, as of GPT-2, GPT-NeoX or Llama 3
//                          (byte_level_tokenizer.h)
//
// Thread-safe after construction.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "workloads/text/tokenizer_model.h"

namespace nexus {

enum class TokenizerKind { kSentencePiece, kByteLevelBpe };

class Tokenizer {
 public:
  // Loads a file (at most 64 MiB); its first byte tells the kind. Errors: ErrorKind::kData.
  explicit Tokenizer(const std::string& path);
  // The same from memory; `name` stands in error messages.
  static Tokenizer from_bytes(std::string file, const std::string& name);

  TokenizerKind kind() const { return kind_; }
  int64_t vocab_size() const { return model_->facts().vocab_size; }
  int32_t bos_id() const { return model_->facts().bos_id; }  // -1 where there is none
  int32_t eos_id() const { return model_->facts().eos_id; }
  int32_t unknown_id() const { return model_->facts().unknown_id; }

  // A whole text, without BOS or EOS.
  std::vector<int32_t> encode(std::string_view text) const { return model_->encode(text, /*continues=*/false); }
  // Text that continues a document (document_reader.h says where documents are cut): the space that many tokenizers put
  // before a text is left out, so that the ids join to those of the uncut document.
  std::vector<int32_t> encode_continuation(std::string_view text) const { return model_->encode(text, true); }
  // Whether `before` and `after`, neighbours in a document that is cut as in document_reader.h, have the tokens that
  // they have together.
  bool may_cut(std::string_view before, std::string_view after) const { return model_->may_cut(before, after); }
  // Bytes of `text`, which continues a document or not, that the tokenizer does not know: they are lost. A token may
  // stand for any number of them, and where `drops_unknown`, none does.
  int64_t unknown_bytes(std::string_view text, bool continues) const { return model_->unknown_bytes(text, continues); }
  bool drops_unknown() const { return model_->facts().drops_unknown; }
  // BOS and EOS decode to nothing. Ids outside the vocabulary: ErrorKind::kData.
  std::string decode(std::span<const int32_t> ids) const;

  // What the pieces stand for, by id. Nothing for BOS, EOS and the unknown piece, but where text can spell them.
  std::vector<PieceSize> piece_sizes() const { return model_->piece_sizes(); }
  // True where the pieces of a text are that text: nothing is normalised away, but for what is unknown. The space that
  // many models put before it may be too much.
  bool keeps_text() const { return model_->facts().keeps_text; }

  const std::string& model_bytes() const { return file_; }  // the file
  std::string digest() const;                               // XXH3-128 of the file

 private:
  Tokenizer(std::string file, std::string name);

  std::string file_, name_;
  TokenizerKind kind_;
  std::unique_ptr<const TokenizerModel> model_;
};

}  // namespace nexus
