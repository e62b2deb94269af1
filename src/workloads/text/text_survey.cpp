#include "workloads/text/text_survey.h"

#include "system/progress_bar.h"

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
  survey.text_digests = reader.text_digests();
  return survey;
}

}  // namespace nexus
