// A tokenizer.json of the byte-level BPE kind: the ids of the tokenizers library, to the last one, for text that is
// UTF-8. Bytes that are not are words of their own, so every text decodes to itself (but for special tokens that it
// spells).
//
// A text goes through these steps: added tokens that are not normalised are found; what lies between is normalised; the
// other added tokens are found; the rest is split by patterns; each part is a word whose bytes are merged.
#pragma once

#include <memory>
#include <string>

#include "workloads/text/tokenizer_model.h"

namespace nexus {

// `name` stands in error messages.
std::unique_ptr<const TokenizerModel> load_byte_level(const std::string& file, const std::string& name);

}  // namespace nexus
