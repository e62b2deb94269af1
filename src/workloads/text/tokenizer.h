// A SentencePiece model: text to token ids and back. Thread-safe after construction.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace nexus {

class Tokenizer {
 public:
  // Loads FILE.model (at most 64 MiB; see tokenizer_check.h). Errors: ErrorKind::kData.
  explicit Tokenizer(const std::string& path);
  // The same from memory; `name` stands in error messages.
  static Tokenizer from_bytes(std::string model, const std::string& name);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  int64_t vocab_size() const { return vocab_size_; }
  int32_t bos_id() const { return bos_id_; }  // -1 where the model has none
  int32_t eos_id() const { return eos_id_; }
  int32_t unknown_id() const { return unknown_id_; }

  // A whole text, without BOS or EOS.
  std::vector<int32_t> encode(std::string_view text) const;
  // Text that continues a document (document_reader.h says where documents are cut): the model's dummy prefix, a space
  // that many models put before a text, is left out, so that the pieces' ids join to those of the uncut document.
  std::vector<int32_t> encode_continuation(std::string_view text) const;
  // Bytes of `text`, which continues a document or not, that the model does not know: they are lost. A token may stand
  // for any number of them.
  int64_t unknown_bytes(std::string_view text, bool continues) const;
  // BOS and EOS decode to nothing. Ids outside the vocabulary: ErrorKind::kData.
  std::string decode(std::span<const int32_t> ids) const;

  // What the pieces stand for, by id: bytes of text, where each blank (U+2581) counts as one. Nothing for BOS, EOS and
  // the unknown piece.
  struct PieceSize {
    int64_t bytes = 0, blanks = 0;
  };
  std::vector<PieceSize> piece_sizes() const;
  // True where the pieces of a text are that text: nothing is normalised away, but for what is unknown. The space that
  // many models put before it may be too much.
  bool keeps_text() const { return keeps_text_; }

  const std::string& model_bytes() const { return model_; }
  std::string digest() const;  // XXH3-128 of the model file

 private:
  Tokenizer(std::string model, const std::string& name);

  std::string model_, name_;
  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
  std::unique_ptr<sentencepiece::SentencePieceProcessor> continuation_;  // null: `processor_` serves
  int64_t vocab_size_ = 0;
  bool keeps_text_ = false;
  int32_t bos_id_ = -1, eos_id_ = -1, unknown_id_ = -1;
};

}  // namespace nexus
