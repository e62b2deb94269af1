// Texts and token files as ids, and the windows in which a model reads them, for perplexities.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tasks/requests.h"

namespace nexus {

// How much text ids stand for. Words are what white space (Unicode's) separates, bytes those of UTF-8.
struct TextSize {
  int64_t words = 0, bytes = 0;
};
// Of text that arrives in pieces cut between characters; `inside_word` is kept between them, false before the first.
TextSize text_size(std::string_view text, bool& inside_word);

struct EvalText {
  struct Document {
    int64_t first = 0, tokens = 0;  // its ids, with what stands before the text
    TextSize size;
  };
  std::string path, digest;  // digest: XXH3-128 of the text, unpacked, or of PREFIX.bin
  std::vector<int32_t> ids;  // of all documents, one after another
  std::vector<Document> documents;
  TextSize size;
};

struct TaskSources {
  const Tokenizer& tokenizer;
  EncodeOptions encoding;
  std::string folder;      // of the task's files
  std::string valid;       // prefix of the run's validation tokens, for tasks that name no file; "": nobody knows
  int64_t vocab_size = 0;  // of the model
};

// Documents of texts begin with BOS; those of token files are as they were written. What has nothing at all before its
// first token (the first document where windows go over documents, otherwise each one) gets BOS, or EOS of a tokenizer
// that has no BOS, so that the first token is scored too; not with --no-bos. Words and bytes of token files are those
// of the decoded text, bytes of a whole file those that PREFIX.json tells. Throws ErrorKind::kConfig where a file is
// not there, kData where it cannot be read, or holds nothing to be scored.
EvalText read_eval_text(const TaskSpec& task, const TaskSources& source);

// The ids [begin, end), of which the last `scored` are to be scored: the model reads all but the last one.
struct EvalWindow {
  int64_t begin = 0, end = 0, scored = 0;
  bool operator==(const EvalWindow&) const = default;
};

// Windows of up to `context` + 1 of the ids [first, first + count): the first scores all that it can, each other one
// `stride` more; the last, which may have fewer left, reaches back for as much context as the others. Every id but the
// first is scored once. With stride == context they are those of training (workloads/text/token_windows.h), but for an
// incomplete last one.
std::vector<EvalWindow> make_windows(int64_t first, int64_t count, int64_t context, int64_t stride);

}  // namespace nexus
