#include "workloads/text/text_survey.h"

#include "sample_text.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using testing::write_file;

TEST(TextSurvey, CountsDocumentsAndBytes) {
  const TempFolder folder;
  const TextSurvey survey =
      survey_text(DocumentReader({write_file(folder / "a", "one\ntwo!\n\nsix\n")}, DocumentMode::kLine), nullptr);
  EXPECT_EQ(survey.documents, 3);
  EXPECT_EQ(survey.text_bytes, 10);
  EXPECT_THAT(survey.document_bytes, ::testing::ElementsAre(3, 4, 3));
}

TEST(TextSurvey, ListsNoDocumentsWhereThereAreTooMany) {
  const TempFolder folder;
  std::string text;
  for (size_t i = 0; i <= TextSurvey::kMaxListed; ++i) text += "x\n";
  const TextSurvey survey = survey_text(DocumentReader({write_file(folder / "a", text)}, DocumentMode::kLine), nullptr);
  EXPECT_EQ(survey.documents, static_cast<int64_t>(TextSurvey::kMaxListed) + 1);
  EXPECT_TRUE(survey.document_bytes.empty());
}

}  // namespace
}  // namespace nexus
