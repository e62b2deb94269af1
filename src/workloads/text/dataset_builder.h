// Text files to token files: what `nexus data build` does.
//
//   PREFIX.model                     the tokenizer (trained here, or a copy of the one given), or PREFIX.tokenizer.json
//   PREFIX-train.{bin,idx,json}      training part
//   PREFIX-valid.{bin,idx,json}      validation part (none where the share is 0)
//
//   PREFIX-train.digest, ...         what the .bin holds (token_file_content.h)
//
// PREFIX-train.json is written last: where it exists, the build is complete. All files are byte-identical whatever the
// number of workers, but for the times in .digest. The text is read twice (survey, then encoding), in between once more
// where the tails of its documents are held out, and never held: memory does not depend on its size.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "workloads/text/document_reader.h"
#include "workloads/text/token_file_info.h"

namespace nexus {

struct BuildOptions {
  std::vector<std::string> inputs;
  std::string out;  // PREFIX
  DocumentMode documents = DocumentMode::kFile;
  std::string json_field = "text";
  int64_t vocab_size = 0;  // pieces to train; 0: `tokenizer` is given
  std::string tokenizer;   // path of a .model or tokenizer.json; empty: `vocab_size` is given
  double valid_share = 0.02;
  int workers = 0;     // 0: one per core
  bool force = false;  // replace files built from something else
};

struct BuildResult {
  bool was_complete = false;  // nothing was done: the same inputs and options had been built already
  TokenFileInfo train;
  std::optional<TokenFileInfo> valid;
};

std::string train_prefix(const std::string& out);
std::string valid_prefix(const std::string& out);

// Errors: ErrorKind::kConfig (options; PREFIX holds something else), kData (text, tokenizer), kIo.
BuildResult build_dataset(const BuildOptions& options);

}  // namespace nexus
