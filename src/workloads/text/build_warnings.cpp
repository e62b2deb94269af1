#include "workloads/text/build_warnings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "core/hash.h"

namespace nexus {
namespace {

// Above this share of unknown text a tokenizer does not fit.
constexpr double kManyUnknown = 0.02;
// A validation part may be off by so much of its share: about what chance does with TextSplitter::kWholeDocuments
// documents of one length (their number has a standard deviation of 22 %).
constexpr double kFarFromShare = 0.25;
// Long documents that together are less of the text do not matter.
constexpr double kMuchOfText = 0.05;

double share_of(int64_t part, int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(std::max<int64_t>(whole, 1));
}

std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

}  // namespace

std::vector<std::string> json_warnings(const std::vector<std::string>& inputs, DocumentMode mode) {
  std::vector<std::string> warnings;
  if (mode == DocumentMode::kJsonLines) return warnings;
  for (const std::string& path : inputs) {
    const std::string name = lower_case(std::filesystem::path(path).filename().string());
    // ".json" begins .jsonl and .jsonlines; what the file is packed in may follow.
    for (const char* suffix : {".json", ".ndjson", ".ldjson"})
      if (name.find(suffix) != std::string::npos)
        warnings.push_back(fmt::format(
            "{} is taken as plain text, with its brackets and names; for JSON Lines say --documents jsonl", path));
  }
  return warnings;
}

std::vector<std::string> copy_warnings(const std::vector<std::string>& inputs,
                                       const std::vector<std::string>& text_digests) {
  std::vector<std::string> warnings;
  const std::string empty = hash_text("");
  std::map<std::string, std::string> paths;
  for (size_t i = 0; i < text_digests.size(); ++i) {
    const auto [first, is_new] = paths.emplace(text_digests[i], inputs[i]);
    if (!is_new && text_digests[i] != empty)
      warnings.push_back(fmt::format(
          "{} has the same content as {}: its documents are in the data twice, and some in both training and "
          "validation",
          inputs[i], first->second));
  }
  return warnings;
}

std::vector<std::string> part_warnings(const TokenFileInfo& train, const TokenFileInfo* valid) {
  std::vector<std::string> warnings;
  const auto sum = [&](auto of) { return of(train) + (valid == nullptr ? 0 : of(*valid)); };
  const int64_t bytes = sum([](const TokenFileInfo& part) { return part.text_bytes; });
  const int64_t lost = sum([](const TokenFileInfo& part) { return part.unknown_bytes.value_or(0); });
  constexpr const char* kCure = "use a tokenizer of this language, or train one with --vocab N";
  if (train.unknown_bytes && share_of(lost, bytes) >= kManyUnknown)
    warnings.push_back(fmt::format("{:.1f} % of the text's bytes are unknown to this tokenizer, which is lost; {}",
                                   100 * share_of(lost, bytes), kCure));
  // Builds of an older nexus counted tokens, each of which may stand for any amount of text.
  const int64_t tokens = sum([](const TokenFileInfo& part) { return part.tokens; });
  const int64_t unknown = sum([](const TokenFileInfo& part) { return part.unknown_tokens.value_or(0); });
  if (!train.unknown_bytes && share_of(unknown, tokens) >= kManyUnknown)
    warnings.push_back(fmt::format("{:.1f} % of the tokens stand for text that this tokenizer does not know; {}",
                                   100 * share_of(unknown, tokens), kCure));
  if (valid == nullptr) return warnings;
  const double share = share_of(valid->text_bytes, bytes);
  if (std::abs(share - valid->valid_share) > kFarFromShare * valid->valid_share)
    warnings.push_back(fmt::format(
        "the validation part holds {:.3g} % of the text instead of {:.3g} %: the documents are few or differ much in "
        "length",
        100 * share, 100 * valid->valid_share));
  return warnings;
}

std::vector<std::string> long_document_warnings(const LongDocuments& documents, int64_t text_bytes,
                                                double valid_share) {
  const double share = share_of(documents.held_out_bytes, documents.bytes);
  if (share_of(documents.bytes, text_bytes) < kMuchOfText || std::abs(share - valid_share) <= valid_share / 2)
    return {};
  return {fmt::format(
      "{} document{} so long that chance does not divide them well: together {:.3g} % of the text, of which {:.3g} % "
      "are held out instead of {:.3g} %; if they are of a kind of their own, build them apart, or cut them into "
      "shorter documents",
      documents.count, documents.count == 1 ? " is" : "s are", 100 * share_of(documents.bytes, text_bytes), 100 * share,
      100 * valid_share)};
}

}  // namespace nexus
