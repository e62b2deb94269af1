// A SentencePiece model (tokenizer_check.h examines it first).
#pragma once

#include <memory>
#include <string>

#include "workloads/text/tokenizer_model.h"

namespace nexus {

// `name` stands in error messages.
std::unique_ptr<const TokenizerModel> load_sentencepiece(const std::string& model, const std::string& name);

}  // namespace nexus
