// Do tokenizer, vocabulary and token files belong together? As far as the descriptions beside the files tell, and then
// as far as the bytes do. Errors name the configuration key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "workloads/text/token_file.h"
#include "workloads/text/token_file_content.h"
#include "workloads/text/token_file_info.h"

namespace nexus {

// A token file of a launch.
struct NamedTokenFile {
  std::string key;  // that names it: "data.valid"
  const TokenFile* file = nullptr;
  std::optional<TokenFileInfo> info;  // PREFIX.json; nothing for files made by others
};
NamedTokenFile name_token_file(const std::string& key, const TokenFile& file);

struct TokenizerIdentity {
  std::string named_by;  // "tokenizer.path (data/web.model)"
  std::string digest;    // XXH3-128 of the model file; empty: not known
  int64_t pieces = 0;    // 0: not known
};
// Loads tokenizer.path. Throws ErrorKind::kConfig where there is no such file, kData where it is no tokenizer.
TokenizerIdentity identify_tokenizer(const std::string& path);

// Throws ErrorKind::kConfig where tokenizer or files have more pieces than `vocab_size`, or where two of them name
// different tokenizers; ErrorKind::kData where a description is not of the file it lies beside. `tokenizer`: the one in
// use, if any. Returns the digest that all agree on; empty where nobody knows it. Warns of descriptions that lack a
// digest and of those of other programs: with them, less is compared.
std::string check_descriptions(const std::vector<NamedTokenFile>& files,
                               const std::optional<TokenizerIdentity>& tokenizer, int64_t vocab_size);

// Throws ErrorKind::kData where the bytes are not those that the description was written for, or hold an id beyond the
// vocabulary.
void check_content(const NamedTokenFile& file, const TokenFileContent& content, int64_t vocab_size);

}  // namespace nexus
