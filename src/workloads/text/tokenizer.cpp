#include "workloads/text/tokenizer.h"

#include <sentencepiece_processor.h>

#include <utility>

#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "workloads/text/tokenizer_check.h"

namespace nexus {
namespace {

using sentencepiece::SentencePieceProcessor;

constexpr int64_t kMaxModelBytes = 64 << 20;

std::string read_model(const std::string& path) {
  if (!path_exists(path))
    throw Error(ErrorKind::kData, "there is no such tokenizer", path, "name a SentencePiece model (FILE.model)");
  return read_text_file(path, kMaxModelBytes);
}

std::unique_ptr<SentencePieceProcessor> load(const std::string& model, const std::string& name) {
  auto processor = std::make_unique<SentencePieceProcessor>();
  const auto status = processor->LoadFromSerializedProto(model);
  if (!status.ok())
    throw Error(ErrorKind::kData, fmt::format("SentencePiece refuses this model ({})", status.error_message()), name,
                "fetch or train the tokenizer again");
  return processor;
}

std::vector<int32_t> encode_with(const SentencePieceProcessor& processor, std::string_view text,
                                 const std::string& name) {
  std::vector<int32_t> ids;
  const auto status = processor.Encode(text, &ids);
  if (!status.ok()) throw Error(ErrorKind::kData, fmt::format("cannot tokenize: {}", status.error_message()), name);
  return ids;
}

}  // namespace

Tokenizer::Tokenizer(const std::string& path) : Tokenizer(read_model(path), path) {}

Tokenizer Tokenizer::from_bytes(std::string model, const std::string& name) {
  return {std::move(model), name};
}

Tokenizer::Tokenizer(std::string model, const std::string& name) : model_(std::move(model)), name_(name) {
  const TokenizerOutline outline = check_tokenizer_model(model_, name);
  processor_ = load(model_, name);
  vocab_size_ = processor_->GetPieceSize();
  NX_CHECK(vocab_size_ == outline.pieces, "{} pieces, not {}", vocab_size_, outline.pieces);
  bos_id_ = processor_->bos_id();
  eos_id_ = processor_->eos_id();
  unknown_id_ = processor_->unk_id();
  keeps_text_ = !outline.removes_extra_whitespace && !outline.replaces_characters;
  // A model that also strips leading spaces needs its dummy prefix: it stands for the space that the cut begins with.
  if (outline.adds_dummy_prefix && !outline.removes_extra_whitespace) {
    // Serialised messages that are concatenated merge: this one says normalizer_spec { add_dummy_prefix: false }.
    constexpr std::string_view no_dummy_prefix("\x1A\x02\x18\x00", 4);
    continuation_ = load(model_ + std::string(no_dummy_prefix), name);
  }
}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  return encode_with(*processor_, text, name_);
}

std::vector<int32_t> Tokenizer::encode_continuation(std::string_view text) const {
  return encode_with(continuation_ ? *continuation_ : *processor_, text, name_);
}

int64_t Tokenizer::unknown_bytes(std::string_view text, bool continues) const {
  const SentencePieceProcessor& processor = continues && continuation_ ? *continuation_ : *processor_;
  const auto encoded = processor.EncodeAsImmutableProto(text);
  int64_t bytes = 0;
  for (const auto& piece : encoded.pieces())
    if (static_cast<int32_t>(piece.id()) == unknown_id_) bytes += static_cast<int64_t>(piece.surface().size());
  return bytes;
}

std::vector<Tokenizer::PieceSize> Tokenizer::piece_sizes() const {
  constexpr std::string_view kBlank = "\xE2\x96\x81";
  std::vector<PieceSize> sizes(static_cast<size_t>(vocab_size_));
  for (int id = 0; id < static_cast<int>(vocab_size_); ++id) {
    if (processor_->IsControl(id) || processor_->IsUnknown(id)) continue;
    PieceSize& size = sizes[static_cast<size_t>(id)];
    const std::string& piece = processor_->IdToPiece(id);
    for (size_t at = piece.find(kBlank); at != std::string::npos; at = piece.find(kBlank, at + kBlank.size()))
      ++size.blanks;
    const auto shorter = static_cast<int64_t>(kBlank.size()) - 1;
    size.bytes = processor_->IsByte(id) ? 1 : static_cast<int64_t>(piece.size()) - shorter * size.blanks;
  }
  return sizes;
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  for (const int32_t id : ids)
    if (id < 0 || id >= vocab_size_)
      throw Error(ErrorKind::kData, fmt::format("token id {} is outside the vocabulary of {}", id, vocab_size_), name_,
                  "use the tokenizer that made these tokens");
  std::string text;
  const auto status = processor_->Decode(std::vector<int>(ids.begin(), ids.end()), &text);
  if (!status.ok()) throw Error(ErrorKind::kData, fmt::format("cannot decode: {}", status.error_message()), name_);
  return text;
}

std::string Tokenizer::digest() const {
  return hash_text(model_);
}

}  // namespace nexus
