// What the bytes of a token file are: found by reading PREFIX.bin once, then kept beside it in PREFIX.digest.
//
// A kept content counts as long as the file's stamp (size, times, inode) is the one it was computed for. A file that
// was copied, touched or swapped is read again; the digest then tells whether it is another file.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/hash.h"
#include "data/input_file.h"
#include "workloads/text/token_file.h"

namespace nexus {

struct TokenFileContent {
  std::string bin_digest;   // XXH3-128 of PREFIX.bin
  int64_t largest_id = -1;  // -1: no tokens. Negative int32 ids count as what their bits say without a sign
  int64_t largest_at = 0;   // the first token that has it
  bool operator==(const TokenFileContent&) const = default;
};

nlohmann::json to_json(const TokenFileContent& content);
TokenFileContent token_file_content_from_json(const nlohmann::json& document);

// The name of the file that keeps it: PREFIX.digest.
std::string content_path(const std::string& prefix);
// Nothing where none is kept, or where it is not of PREFIX.bin as it lies there now, or cannot be understood.
std::optional<TokenFileContent> kept_content(const TokenFile& file);
// Keeps it, durably. Where the folder cannot be written, warns: the next launch reads the file again.
void keep_content(const TokenFile& file, const TokenFileContent& content);

// Reads a token file from its first byte to its last, some at a time, so that ranks can read together and show signs of
// life. Errors: ErrorKind::kIo; kData where the file changes meanwhile.
class TokenFileReader {
 public:
  explicit TokenFileReader(const TokenFile& file);
  // Reads at least one and about `max_bytes` more; false at the end.
  bool read(int64_t max_bytes);
  int64_t done_bytes() const { return done_bytes_; }
  TokenFileContent content() const;  // once everything is read

 private:
  void look_at_ids(const char* bytes, size_t size_bytes);

  const TokenFile& file_;
  InputFile bin_;
  Hasher hasher_;
  std::vector<char> block_;
  int64_t done_bytes_ = 0;
  TokenFileContent content_;
};

// Reads it all.
TokenFileContent read_content(const TokenFile& file);
// What is kept, else reads it all and keeps it.
TokenFileContent content_of(const TokenFile& file);

}  // namespace nexus
