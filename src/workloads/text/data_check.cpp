#include "workloads/text/data_check.h"

#include "core/error.h"
#include "core/files.h"
#include "core/log.h"
#include "workloads/text/tokenizer.h"

namespace nexus {
namespace {

std::string place_of(const NamedTokenFile& file) {
  return fmt::format("{} ({})", file.key, file.file->prefix());
}

void check_pieces(int64_t pieces, int64_t vocab_size, const std::string& who, const std::string& where) {
  if (pieces > vocab_size)
    throw Error(ErrorKind::kConfig, fmt::format("{} has {} pieces, but model.V is {}", who, pieces, vocab_size), where,
                fmt::format("set model.V to {} or more, or name data of a smaller vocabulary", pieces));
}

[[noreturn]] void not_its_description(const NamedTokenFile& file, const std::string& what) {
  throw Error(ErrorKind::kData, what + ": the files are damaged, or of different builds", place_of(file),
              "put back what belongs together, or build it again with 'nexus data build --force'");
}

void check_description(const NamedTokenFile& file) {
  const TokenFile& tokens = *file.file;
  if (file.info->tokens != tokens.tokens())
    not_its_description(
        file, fmt::format("there are {} tokens, the .json beside says {}", tokens.tokens(), file.info->tokens));
  if (file.info->type != token_type_name(tokens.type()))
    not_its_description(
        file, fmt::format("the ids are {}, the .json beside says {}", token_type_name(tokens.type()), file.info->type));
  if (!file.info->idx_digest.empty() && file.info->idx_digest != tokens.index_digest())
    not_its_description(file, "the .idx is not the one that the .json beside describes");
}

// What a description does not say is not compared: nobody should believe that it was.
void warn_of_gaps(const NamedTokenFile& file) {
  const std::string path = file.file->prefix() + ".json";
  if (!file.info && path_exists(path))
    warn(
        "{}: {} is no description by nexus (another program's, or damaged): which tokenizer made the tokens is not "
        "known",
        place_of(file), path);
  if (!file.info) return;
  std::string missing;
  for (const auto& [name, value] :
       {std::pair("tokenizer_digest", &file.info->tokenizer_digest), std::pair("bin_digest", &file.info->bin_digest),
        std::pair("idx_digest", &file.info->idx_digest)})
    if (value->empty()) missing += (missing.empty() ? "" : ", ") + std::string(name);
  if (!missing.empty())
    warn("{}: {} has no {}: that is not compared; build it again with 'nexus data build --force' to have it",
         place_of(file), path, missing);
}

// Digests decide; descriptions without one can at least have another number of pieces.
bool differ(const TokenizerIdentity& a, const TokenizerIdentity& b) {
  if (!a.digest.empty() && !b.digest.empty()) return a.digest != b.digest;
  return a.pieces > 0 && b.pieces > 0 && a.pieces != b.pieces;
}

}  // namespace

NamedTokenFile name_token_file(const std::string& key, const TokenFile& file) {
  return {key, &file, read_token_file_info(file.prefix())};
}

TokenizerIdentity identify_tokenizer(const std::string& path) {
  const std::string named_by = fmt::format("tokenizer.path ({})", path);
  if (!path_exists(path))
    throw Error(ErrorKind::kConfig, "there is no tokenizer of this name", named_by,
                "name the tokenizer that made the token files, or set tokenizer.path to null");
  const InputFile readable(path);  // refuses what is no regular file, or may not be read
  const Tokenizer tokenizer(path);
  return {named_by, tokenizer.digest(), tokenizer.vocab_size()};
}

std::string check_descriptions(const std::vector<NamedTokenFile>& files,
                               const std::optional<TokenizerIdentity>& tokenizer, int64_t vocab_size) {
  std::optional<TokenizerIdentity> agreed = tokenizer;
  if (tokenizer) check_pieces(tokenizer->pieces, vocab_size, "the tokenizer", tokenizer->named_by);
  for (const NamedTokenFile& file : files) {
    warn_of_gaps(file);
    if (!file.info) continue;
    check_pieces(file.info->vocab_size, vocab_size, "the tokenizer that made these tokens", place_of(file));
    const TokenizerIdentity made_by{place_of(file), file.info->tokenizer_digest, file.info->vocab_size};
    if (agreed && differ(*agreed, made_by))
      throw Error(ErrorKind::kConfig,
                  fmt::format("these tokens were made by another tokenizer ({}, {} pieces) than that of {}",
                              file.info->tokenizer, made_by.pieces, agreed->named_by),
                  made_by.named_by, "name token files and a tokenizer of one vocabulary");
    if (!agreed || agreed->digest.empty()) agreed = made_by;
    check_description(file);
  }
  return agreed ? agreed->digest : "";
}

void check_content(const NamedTokenFile& file, const TokenFileContent& content, int64_t vocab_size) {
  if (file.info && !file.info->bin_digest.empty() && file.info->bin_digest != content.bin_digest)
    not_its_description(file, "the .bin is not the one that the .json beside describes");
  if (content.largest_id < vocab_size) return;
  // Ids are int32: what lies beyond was negative.
  const auto id = static_cast<int32_t>(static_cast<uint32_t>(content.largest_id));
  throw Error(
      ErrorKind::kData,
      fmt::format("token {} has id {}, outside the vocabulary of model.V = {}", content.largest_at, id, vocab_size),
      place_of(file), "use the vocabulary of the tokenizer that made the file");
}

}  // namespace nexus
