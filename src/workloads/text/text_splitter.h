// Which text is held out for validation. A pure function of the documents and the share; no text is in both parts.
//
// Where at least kWholeDocuments documents are expected in the validation part (or there are more than
// TextSurvey::kMaxListed), whole documents go there: document i when uniform(i) of the stream "data split" is below the
// share.
//
// Where there are fewer, such as one file as one document, the tail of every document does, whatever its script: what
// follows the first line end after its first (1 - share) bytes, or the first space where the text near there has no
// line end. A tail of less than half the share is not taken: the document is then cut at the nearest blank, or between
// two characters where no blank is near. (Text with blanks whose late tails are only a few, kFewLate of all, is left at
// its line ends.) Where all tails together would still be less than kAboutShare of what they should be, as those of
// documents of a few lines, every document is cut so. Documents whose share is less than a character in some scripts
// (kLeastTailBytes) are held out whole: one, at random, of every 1 / share of them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "workloads/text/document_reader.h"
#include "workloads/text/text_survey.h"

namespace nexus {

enum class Part { kTrain, kValid };

struct SplitPiece {
  TextPiece piece;
  Part part = Part::kTrain;
};

// Documents each of which is more than TextSplitter::kLong of the validation part, where whole ones are held out: a few
// more or less of them there make it another text.
struct LongDocuments {
  int64_t count = 0, bytes = 0, held_out_bytes = 0;
};

class TextSplitter {
 public:
  static constexpr double kLong = 0.25;
  static constexpr double kWholeDocuments = 20;
  static constexpr double kLeastTailBytes = 4;
  static constexpr double kFewLate = 0.05;
  static constexpr double kAboutShare = 0.75;

  // Reads all of `reader`, the surveyed text, where tails are to be found.
  TextSplitter(const TextSurvey& survey, double valid_share, DocumentReader reader);
  bool splits_whole_documents() const { return tail_starts_.empty(); }
  // True where it is certain that no text will be held out, though the share is not 0: there is too little.
  bool holds_out_nothing() const;
  // The piece, with its part; two pieces where the border lies inside. Pieces must come in order. Throws
  // ErrorKind::kData where there are more documents than in the survey.
  std::vector<SplitPiece> split(TextPiece piece);
  // Among those that have been split.
  const LongDocuments& long_documents() const { return long_documents_; }

 private:
  void count_whole(const TextPiece& piece);
  double valid_share_;
  std::vector<int64_t> document_bytes_;
  std::vector<int64_t> tail_starts_;  // by document: 0 holds out all of it, its size nothing; empty: whole documents
  int64_t document_ = -1, offset_bytes_ = 0;
  Part part_ = Part::kTrain;  // of this document, where whole ones are held out
  double long_bytes_ = 0;     // what makes a document long
  LongDocuments long_documents_;
};

// The least share with which TextSplitter holds out some of this text, to two digits; nothing where none up to
// `largest_share` does.
std::optional<double> least_valid_share(const TextSurvey& survey, double largest_share);

}  // namespace nexus
