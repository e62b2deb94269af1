// PREFIX.json, beside PREFIX.bin and PREFIX.idx: what a token file holds and where it came from. Megatron ignores it;
// nexus needs it for bits per byte (text bytes per token) and to verify the files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nexus {

struct TextFileRef {
  std::string path;
  int64_t size_bytes = 0;  // of the file as it lies on the disk
  std::string digest;      // XXH3-128
};

struct TokenFileInfo {
  int64_t documents = 0;
  int64_t tokens = 0;      // with BOS
  int64_t text_bytes = 0;  // UTF-8, of these documents
  // Tokens that stand for text which the tokenizer does not know, and that is lost; nothing in files of older builds.
  std::optional<int64_t> unknown_tokens;
  std::optional<int64_t> unknown_bytes;  // of that text; nothing in files of older builds
  int64_t vocab_size = 0;
  int64_t bos_id = 0;
  std::string type;  // "uint16" or "int32"
  std::string bin_digest, idx_digest;
  std::string tokenizer;  // file name, in the same folder
  std::string tokenizer_digest;
  std::string document_mode;
  double valid_share = 0;
  std::string build_digest;  // of everything that determines the files
  std::vector<TextFileRef> sources;
  // Of the whole build, in the training part's description only; nothing in files of older builds.
  std::optional<std::vector<std::string>> warnings;

  double bytes_per_token() const {
    return tokens > 0 ? static_cast<double>(text_bytes) / static_cast<double>(tokens) : 0;
  }
};

std::string to_json(const TokenFileInfo& info);
void write_token_file_info(const std::string& prefix, const TokenFileInfo& info);
// Nothing where PREFIX.json does not exist or is another program's (files made by others); ErrorKind::kData where it is
// ours and cannot be understood, or is empty or cut off.
std::optional<TokenFileInfo> read_token_file_info(const std::string& prefix);
// The tokenizer's path, seen from where the caller is.
std::string tokenizer_path(const std::string& prefix, const TokenFileInfo& info);
// `given` if there is one, else tokenizer_path; throws ErrorKind::kData where that is not there (files that were
// renamed or moved without it).
std::string find_tokenizer(const std::string& prefix, const TokenFileInfo& info, const std::string& given);

// Opens the files and compares sizes, counts, digests, ids and the text that they stand for with PREFIX.json. Throws
// ErrorKind::kData at the first difference. Reads every byte, whatever PREFIX.digest says, and renews that.
// `tokenizer`: where the model lies, if not where PREFIX.json says.
void verify_token_file(const std::string& prefix, const std::string& tokenizer = "");

}  // namespace nexus
