#include "campaign/data_review.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>

#include "support/temp_folder.h"
#include "workloads/text/token_file.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string write_tokens(const std::string& prefix, int32_t tokens, int32_t first_id = 0) {
  std::vector<int32_t> ids(static_cast<size_t>(tokens));
  std::iota(ids.begin(), ids.end(), first_id);
  TokenFileWriter writer(prefix, TokenType::kUint16);
  writer.append(ids.data(), tokens);
  writer.end_document();
  writer.finish();
  return prefix;
}

class DataReviewTest : public ::testing::Test {
 protected:
  DataReviewTest() {
    spec_.model.counts["V"] = 5000;
    spec_.data.context = 8;
    spec_.batch.global_tokens = 16;
    spec_.data.train = {{write_tokens(folder_ / "train", 81), 1.0}};  // 10 windows of 8
    spec_.data.valid = write_tokens(folder_ / "valid", 100, 200);
    add_stage("base", 160);
  }
  void add_stage(const char* name, int64_t tokens) {
    spec_.stages.emplace_back();
    spec_.stages.back().name = name;
    spec_.stages.back().tokens = tokens;
  }
  TempFolder folder_;
  CampaignSpec spec_;
};

TEST_F(DataReviewTest, CountsHowOftenAStageReadsItsData) {
  const DataReview review = review_data(spec_);
  EXPECT_THAT(review.lines, ElementsAre(AllOf(HasSubstr("tokens 81"), HasSubstr("epochs base 2"))));
  EXPECT_THAT(review.warnings, IsEmpty());
  EXPECT_THAT(review.datasets.at(0).passes, ElementsAre(2.0));
}

TEST_F(DataReviewTest, WarnsOfManyPassesOverAllStagesTogether) {
  add_stage("wide", 160);
  EXPECT_THAT(review_data(spec_).warnings, IsEmpty());  // four in all
  add_stage("deep", 8);                                 // a step of 16 tokens
  const DataReview review = review_data(spec_);
  EXPECT_THAT(review.lines, ElementsAre(HasSubstr("epochs base 2 wide 2 deep 0.2 all 4.2")));
  EXPECT_THAT(review.warnings, ElementsAre(AllOf(HasSubstr("the stages together read"), HasSubstr("4.2 times"))));
}

TEST_F(DataReviewTest, CountsEachDatasetByItsWeight) {
  spec_.data.train = {{write_tokens(folder_ / "small", 9), 0.25}, {write_tokens(folder_ / "large", 801), 0.75}};
  const DataReview review = review_data(spec_);  // 20 samples: 5 of the one window, 15 of the hundred
  ASSERT_THAT(review.datasets, SizeIs(2));
  EXPECT_THAT(review.datasets[0].passes, ElementsAre(5.0));
  EXPECT_THAT(review.datasets[1].passes, ElementsAre(0.15));
  EXPECT_THAT(review.warnings, ElementsAre(AllOf(HasSubstr("small"), HasSubstr("5 times"))));
}

TEST_F(DataReviewTest, TheSameDataUnderSeveralNamesIsCountedOnce) {
  const std::string path = spec_.data.train[0].path;
  add_stage("wide", 192);  // 4.4 passes in all
  std::filesystem::create_symlink(path + ".bin", folder_ / "link.bin");
  std::filesystem::create_symlink(path + ".idx", folder_ / "link.idx");
  for (const std::string& again : {path, write_tokens(folder_ / "copied", 81), std::string(folder_ / "link")}) {
    spec_.data.train = {{path, 1.0}, {again, 1.0}};
    const DataReview review = review_data(spec_);
    for (const DatasetUse& use : review.datasets) EXPECT_NEAR(use.all_passes(), 4.4, 1e-9) << again;
    EXPECT_THAT(review.warnings,
                ElementsAre(HasSubstr("4.4 times"), HasSubstr("holds the same tokens as data.train.0")));
  }
  spec_.data.train = {{path, 1.0}, {write_tokens(folder_ / "other", 81, 100), 1.0}};
  EXPECT_THAT(review_data(spec_).warnings, IsEmpty());
}

TEST_F(DataReviewTest, WhatTheAncestorsReadCounts) {
  const RunData data = open_data(spec_.data, spec_.model, spec_.seed);
  const DataReview review = review_data(spec_, data, /*inherited_units=*/200);
  EXPECT_NEAR(review.datasets[0].inherited, 2.5, 1e-9);
  EXPECT_THAT(review.lines, ElementsAre(HasSubstr("epochs base 2 init_from 2.5 all 4.5")));
  EXPECT_THAT(review.warnings, ElementsAre(AllOf(HasSubstr("the lineage"), HasSubstr("4.5 times"))));
}

TEST_F(DataReviewTest, ATokenizerThatTheLaunchWouldRefuseIsWarnedOf) {
  spec_.tokenizer = folder_ / "nowhere.model";
  EXPECT_THAT(review_data(spec_).warnings,
              ElementsAre(AllOf(HasSubstr("training will not start"), HasSubstr("nowhere.model"))));
}

TEST_F(DataReviewTest, WarnsOfValidationTextThatIsTrainedOn) {
  const std::string valid = spec_.data.valid;
  spec_.data.valid = spec_.data.train[0].path;
  EXPECT_THAT(review_data(spec_).warnings,
              ElementsAre(AllOf(HasSubstr("validation text is trained on"), HasSubstr("is the same file"))));
  spec_.data.valid = write_tokens(folder_ / "copy", 81);
  EXPECT_THAT(review_data(spec_).warnings, ElementsAre(HasSubstr("has the same content")));
  spec_.data.valid = valid;
  spec_.data.train.push_back({valid, 1.0});  // in a mixture
  EXPECT_THAT(review_data(spec_).warnings, ElementsAre(HasSubstr("is the same file")));
}

TEST_F(DataReviewTest, SaysWhatIsNotHereAndWhatWillNotStart) {
  std::filesystem::remove(spec_.data.valid + ".bin");
  EXPECT_THAT(review_data(spec_).lines, ElementsAre(AllOf(HasSubstr("valid.bin is not here"), HasSubstr("epochs"))));
  write_tokens(spec_.data.valid, 100, 200);
  spec_.data.context = 1000;
  EXPECT_THAT(review_data(spec_).warnings, ElementsAre(AllOf(HasSubstr("will not start"), HasSubstr("81 tokens"))));
  spec_.data.train.clear();
  EXPECT_THAT(review_data(spec_).lines, IsEmpty());
}

}  // namespace
}  // namespace nexus
