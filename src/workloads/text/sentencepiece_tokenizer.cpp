#include "workloads/text/sentencepiece_tokenizer.h"

#include <sentencepiece_processor.h>

#include "core/error.h"
#include "workloads/text/tokenizer_check.h"

namespace nexus {
namespace {

using sentencepiece::SentencePieceProcessor;

std::unique_ptr<SentencePieceProcessor> load_processor(const std::string& model, const std::string& name) {
  auto processor = std::make_unique<SentencePieceProcessor>();
  const auto status = processor->LoadFromSerializedProto(model);
  if (!status.ok())
    throw Error(ErrorKind::kData, fmt::format("SentencePiece refuses this model ({})", status.error_message()), name,
                "fetch or train the tokenizer again");
  return processor;
}

class SentencePieceTokenizer : public TokenizerModel {
 public:
  SentencePieceTokenizer(const std::string& model, const std::string& name) : name_(name) {
    const TokenizerOutline outline = check_tokenizer_model(model, name);
    processor_ = load_processor(model, name);
    const int64_t pieces = processor_->GetPieceSize();
    NX_CHECK(pieces == outline.pieces, "{} pieces, not {}", pieces, outline.pieces);
    facts_ = {.vocab_size = pieces,
              .bos_id = processor_->bos_id(),
              .eos_id = processor_->eos_id(),
              .unknown_id = processor_->unk_id(),
              .keeps_text = !outline.removes_extra_whitespace && !outline.replaces_characters};
    // A model that also strips leading spaces needs its dummy prefix: it stands for the space that the cut begins with.
    if (outline.adds_dummy_prefix && !outline.removes_extra_whitespace) {
      // Serialised messages that are concatenated merge: this one says normalizer_spec { add_dummy_prefix: false }.
      constexpr std::string_view no_dummy_prefix("\x1A\x02\x18\x00", 4);
      continuation_ = load_processor(model + std::string(no_dummy_prefix), name);
    }
  }

  std::vector<int32_t> encode(std::string_view text, bool continues) const override {
    std::vector<int32_t> ids;
    const auto status = processor(continues).Encode(text, &ids);
    if (!status.ok()) throw Error(ErrorKind::kData, fmt::format("cannot tokenize: {}", status.error_message()), name_);
    return ids;
  }

  int64_t unknown_bytes(std::string_view text, bool continues) const override {
    const auto encoded = processor(continues).EncodeAsImmutableProto(text);
    int64_t bytes = 0;
    for (const auto& piece : encoded.pieces())
      if (static_cast<int32_t>(piece.id()) == facts_.unknown_id) bytes += static_cast<int64_t>(piece.surface().size());
    return bytes;
  }

  // A blank in a piece is a space of text, or U+2581 itself.
  std::vector<PieceSize> piece_sizes() const override {
    constexpr std::string_view kBlank = "\xE2\x96\x81";
    std::vector<PieceSize> sizes(static_cast<size_t>(facts_.vocab_size));
    for (int id = 0; id < static_cast<int>(facts_.vocab_size); ++id) {
      if (processor_->IsControl(id) || processor_->IsUnknown(id)) continue;
      const std::string& piece = processor_->IdToPiece(id);
      const int64_t most = processor_->IsByte(id) ? 1 : static_cast<int64_t>(piece.size());
      int64_t blanks = 0;
      for (size_t at = piece.find(kBlank); at != std::string::npos; at = piece.find(kBlank, at + kBlank.size()))
        ++blanks;
      sizes[static_cast<size_t>(id)] = {most - (static_cast<int64_t>(kBlank.size()) - 1) * blanks, most};
    }
    return sizes;
  }

  std::string decode(std::span<const int32_t> ids) const override {
    std::string text;
    const auto status = processor_->Decode(std::vector<int>(ids.begin(), ids.end()), &text);
    if (!status.ok()) throw Error(ErrorKind::kData, fmt::format("cannot decode: {}", status.error_message()), name_);
    return text;
  }

  bool may_cut(std::string_view, std::string_view) const override { return true; }

 private:
  const SentencePieceProcessor& processor(bool continues) const {
    return continues && continuation_ ? *continuation_ : *processor_;
  }

  std::string name_;
  std::unique_ptr<SentencePieceProcessor> processor_;
  std::unique_ptr<SentencePieceProcessor> continuation_;  // null: `processor_` serves
};

}  // namespace

std::unique_ptr<const TokenizerModel> load_sentencepiece(const std::string& model, const std::string& name) {
  return std::make_unique<SentencePieceTokenizer>(model, name);
}

}  // namespace nexus
