// The first reading of the text: how many documents and bytes there are, a sample for the vocabulary, and from these
// the division into training and validation text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/document_reader.h"
#include "data/vocabulary.h"

namespace nexus {

struct TextSurvey {
  int64_t documents = 0;
  int64_t text_bytes = 0;
  // Bytes of each document; empty where there are more than kMaxListed.
  std::vector<int64_t> document_bytes;
  static constexpr size_t kMaxListed = 100000;
};

// Reads everything once; offers each piece to `sample` where that is not null.
TextSurvey survey_text(DocumentReader reader, VocabularySample* sample);

enum class Part { kTrain, kValid };

struct SplitPiece {
  TextPiece piece;
  Part part = Part::kTrain;
};

// Which text is held out. A pure function of the documents and the share; no text is in both parts.
//
// Where at least kWholeDocuments documents are expected in the validation part (or there are more than
// TextSurvey::kMaxListed), whole documents go there: document i when uniform(i) of the stream "data split" is below the
// share. Where there are fewer, such as one file as one document, the tail of every document does: what follows the
// first line end after its first (1 - share) bytes, or the first space where the text near there has no line end.
class TextSplitter {
 public:
  static constexpr double kWholeDocuments = 20;

  TextSplitter(const TextSurvey& survey, double valid_share);
  bool splits_whole_documents() const { return tail_starts_.empty(); }
  // The piece, with its part; two pieces where the border lies inside. Pieces must come in order.
  std::vector<SplitPiece> split(TextPiece piece);

 private:
  std::vector<SplitPiece> split_tail(TextPiece piece);

  double valid_share_;
  std::vector<int64_t> tail_starts_;  // by document; empty when whole documents are split
  int64_t document_ = -1, offset_bytes_ = 0;
  Part part_ = Part::kTrain;
  bool part_begins_ = false;  // the next piece is the first of the document's tail
};

}  // namespace nexus
