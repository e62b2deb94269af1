#include "workloads/text/tokenizer.h"

#include <utility>

#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "workloads/text/byte_level_tokenizer.h"
#include "workloads/text/sentencepiece_tokenizer.h"

namespace nexus {
namespace {

constexpr int64_t kMaxTokenizerBytes = 64 << 20;

std::string read_tokenizer(const std::string& path) {
  if (!path_exists(path))
    throw Error(ErrorKind::kData, "there is no such tokenizer", path,
                "name a SentencePiece model (FILE.model) or a tokenizer.json");
  return read_text_file(path, kMaxTokenizerBytes);
}

// A protocol buffer would begin so with a group, which no SentencePiece model has.
TokenizerKind kind_of(std::string_view file) {
  return file.starts_with('{') ? TokenizerKind::kByteLevelBpe : TokenizerKind::kSentencePiece;
}

}  // namespace

Tokenizer::Tokenizer(const std::string& path) : Tokenizer(read_tokenizer(path), path) {}

Tokenizer Tokenizer::from_bytes(std::string file, const std::string& name) {
  return {std::move(file), name};
}

Tokenizer::Tokenizer(std::string file, std::string name)
    : file_(std::move(file)), name_(std::move(name)), kind_(kind_of(file_)) {
  model_ = kind_ == TokenizerKind::kByteLevelBpe ? load_byte_level(file_, name_) : load_sentencepiece(file_, name_);
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  for (const int32_t id : ids)
    if (id < 0 || id >= vocab_size())
      throw Error(ErrorKind::kData, fmt::format("token id {} is outside the vocabulary of {}", id, vocab_size()), name_,
                  "use the tokenizer that made these tokens");
  return model_->decode(ids);
}

std::string Tokenizer::digest() const {
  return hash_text(file_);
}

}  // namespace nexus
