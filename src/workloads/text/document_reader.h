// Text files as a stream of documents, each in pieces of bounded size.
//
//   file        one file is one document (compressed files: their text)
//   blank-line  documents are separated by one or more blank lines (only spaces, tabs, CR)
//   line        every line that is not blank is one document, without its line end
//   jsonl       every line is a JSON object; the document is the text in one of its fields
//
// Documents without text are skipped. Text must be UTF-8 (text_guard.h); a byte order mark at the start of a file is
// dropped, and files of other formats are refused as what they are (foreign_format.h). The pieces depend on the text
// alone, never on how it was read or packed, and their concatenation is exactly the document. Memory: a few pieces
// (jsonl: one line, at most 64 MiB).
//
// Where pieces are cut. BPE and unigram pieces carry a space at their front only (SentencePiece never merges across the
// start of a word), so text that is cut before a space which follows a visible character gives the same tokens as uncut
// text. Text without such a place (some scripts, long rows of digits) is cut after a line end, else between two
// characters: there a merge can be missed, once in kPieceBytes; the text still decodes to itself. Byte-level BPE splits
// words by patterns that look around: pieces that its tokenizer would not cut so are joined again (Tokenizer::may_cut).
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/hash.h"
#include "workloads/text/json_line.h"
#include "workloads/text/text_guard.h"
#include "workloads/text/text_source.h"

namespace nexus {

enum class DocumentMode { kFile, kBlankLine, kLine, kJsonLines };

// "file", "blank-line", "line", "jsonl"; nothing for any other name.
std::optional<DocumentMode> parse_document_mode(std::string_view name);
std::string document_mode_name(DocumentMode mode);

struct TextPiece {
  std::string text;
  bool begins_document = false;
  bool ends_document = false;
};

// Cuts a document that arrives in parts of any size. `take` empties the pieces that are ready.
class PieceCutter {
 public:
  static constexpr size_t kPieceBytes = 4096;

  void append(std::string_view text);
  void end_document();  // does nothing where the document has no text
  std::optional<TextPiece> take();

 private:
  void emit(size_t size, bool ends_document);

  std::string pending_;
  std::deque<TextPiece> ready_;
  bool inside_document_ = false;
};

class DocumentReader {
 public:
  DocumentReader(std::vector<std::string> paths, DocumentMode mode, const std::string& json_field = "text");
  // The next piece in file order; nothing at the end. Throws ErrorKind::kData with the file and place.
  std::optional<TextPiece> next();
  // XXH3-128 of the text, unpacked and without its byte order mark, of each file that has been read to its end.
  const std::vector<std::string>& text_digests() const { return text_digests_; }

 private:
  bool read_block();
  std::string_view open_next();  // opens the next file and reads its first block
  void consume(std::string_view block);
  void end_line();
  void end_file();
  void add_json(const std::string& line);

  std::vector<std::string> paths_;
  DocumentMode mode_;
  JsonField json_field_;
  std::unique_ptr<TextSource> source_;
  size_t path_index_ = 0;  // of the open file, or of the next one
  TextGuard guard_;
  Hasher hasher_;  // of the open file's text
  std::vector<std::string> text_digests_;
  std::string block_, line_;
  int64_t line_number_ = 0;
  bool line_has_text_ = false;
  bool separator_due_ = false;  // blank-line mode: a line end before the next line of the same document
  PieceCutter cutter_;
};

}  // namespace nexus
