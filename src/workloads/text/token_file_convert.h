// Token files into another one, as Megatron writes it: their documents one after the other, with sequences and modes as
// they are, and ids of another type.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "workloads/text/token_file.h"

namespace nexus {

struct TokenFileConversion {
  std::vector<std::string> inputs;  // prefixes
  std::string out;                  // PREFIX: .bin, .idx and .digest (token_file_content.h); no .json
  std::optional<TokenType> type;    // nothing: Megatron's choice for the largest id
};

// Returns the prefix's file. Errors: ErrorKind::kConfig where files of that name exist, or an id does not fit the type;
// kData for inputs that are damaged or hold negative ids; kIo.
TokenFile convert_token_files(const TokenFileConversion& conversion);

}  // namespace nexus
