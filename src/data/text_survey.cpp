#include "data/text_survey.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "core/log.h"
#include "core/rng.h"

namespace nexus {

TextSurvey survey_text(DocumentReader reader, VocabularySample* sample) {
  TextSurvey survey;
  Progress progress("data survey", 0, "bytes");
  while (const std::optional<TextPiece> piece = reader.next()) {
    const auto size = static_cast<int64_t>(piece->text.size());
    if (piece->begins_document) {
      ++survey.documents;
      survey.document_bytes.push_back(0);
      // Too many to list: whole documents will be split, and memory stays bounded.
      if (survey.document_bytes.size() > TextSurvey::kMaxListed) survey.document_bytes.assign(1, 0);
    }
    survey.document_bytes.back() += size;
    survey.text_bytes += size;
    if (sample != nullptr) sample->offer(piece->text);
    progress.update(survey.text_bytes);
  }
  if (survey.documents > static_cast<int64_t>(TextSurvey::kMaxListed)) survey.document_bytes.clear();
  return survey;
}

TextSplitter::TextSplitter(const TextSurvey& survey, double valid_share) : valid_share_(valid_share) {
  NX_CHECK(valid_share >= 0 && valid_share < 1, "{}", valid_share);
  if (valid_share == 0 || static_cast<double>(survey.documents) * valid_share >= kWholeDocuments) return;
  for (const int64_t bytes : survey.document_bytes)
    tail_starts_.push_back(static_cast<int64_t>(std::ceil(static_cast<double>(bytes) * (1 - valid_share))));
}

std::vector<SplitPiece> TextSplitter::split(TextPiece piece) {
  if (piece.begins_document) {
    ++document_;
    offset_bytes_ = 0;
    const RandomStream stream(0, "data split");
    const bool held_out = splits_whole_documents() && stream.uniform(static_cast<uint64_t>(document_)) < valid_share_;
    part_ = held_out ? Part::kValid : Part::kTrain;
  }
  if (!splits_whole_documents() && part_ == Part::kTrain) return split_tail(std::move(piece));
  piece.begins_document = piece.begins_document || std::exchange(part_begins_, false);
  std::vector<SplitPiece> result;
  result.push_back({std::move(piece), part_});
  return result;
}

std::vector<SplitPiece> TextSplitter::split_tail(TextPiece piece) {
  const int64_t from = std::max<int64_t>(tail_starts_.at(static_cast<size_t>(document_)) - offset_bytes_, 0);
  const auto size = static_cast<int64_t>(piece.text.size());
  offset_bytes_ += size;
  size_t border = std::string::npos;
  if (from < size) {
    border = piece.text.find('\n', static_cast<size_t>(from));
    if (border != std::string::npos) ++border;
    const bool nothing_left = border == piece.text.size() && piece.ends_document;
    if (border == std::string::npos || nothing_left)
      border = piece.text.find(' ', static_cast<size_t>(std::max<int64_t>(from, 1)));
  }
  std::vector<SplitPiece> result;
  if (border == std::string::npos) {
    result.push_back({std::move(piece), Part::kTrain});
    return result;
  }
  part_ = Part::kValid;
  result.push_back({{piece.text.substr(0, border), piece.begins_document, true}, Part::kTrain});
  part_begins_ = border == piece.text.size();
  if (!part_begins_) result.push_back({{piece.text.substr(border), true, piece.ends_document}, Part::kValid});
  return result;
}

}  // namespace nexus
