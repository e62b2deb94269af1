// The first reading of the text: how many documents and bytes there are, and a sample for the vocabulary.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "workloads/text/document_reader.h"
#include "workloads/text/vocabulary.h"

namespace nexus {

struct TextSurvey {
  int64_t documents = 0;
  int64_t text_bytes = 0;
  // Bytes of each document; empty where there are more than kMaxListed.
  std::vector<int64_t> document_bytes;
  std::vector<std::string> text_digests;  // of each file's text, as DocumentReader gives it
  static constexpr size_t kMaxListed = 100000;
};

// Reads everything once; offers each piece to `sample` where that is not null.
TextSurvey survey_text(DocumentReader reader, VocabularySample* sample);

}  // namespace nexus
