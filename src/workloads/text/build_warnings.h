// What `nexus data build` warns of: nothing that keeps it from building, all that makes the result less than it seems.
//
// What only the reading of the text tells is recorded in PREFIX-train.json, so that a build which is complete already
// warns again.
#pragma once

#include <string>
#include <vector>

#include "workloads/text/document_reader.h"
#include "workloads/text/text_splitter.h"
#include "workloads/text/token_file_info.h"

namespace nexus {

// Files whose names say that they hold JSON, but which are taken as text.
std::vector<std::string> json_warnings(const std::vector<std::string>& inputs, DocumentMode mode);

// Files of the same text, however packed. `text_digests`: of the files' text, in order.
std::vector<std::string> copy_warnings(const std::vector<std::string>& inputs,
                                       const std::vector<std::string>& text_digests);

// Text that the tokenizer loses; a validation part that is far from its share. `valid` is null where there is none.
std::vector<std::string> part_warnings(const TokenFileInfo& train, const TokenFileInfo* valid);

// Documents too long to be held out by chance, where that went wrong.
std::vector<std::string> long_document_warnings(const LongDocuments& documents, int64_t text_bytes, double valid_share);

}  // namespace nexus
