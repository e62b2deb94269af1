#include "workloads/text/token_file_content.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>

#include "core/files.h"
#include "core/hash.h"
#include "sample_text.h"
#include "support/expect_error.h"
#include "support/later_tick.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using testing::file_content;
using ::testing::HasSubstr;
using testing::write_file;

// One document of `ids`.
std::string token_file(const std::string& prefix, TokenType type, const std::vector<int32_t>& ids) {
  TokenFileWriter writer(prefix, type);
  if (!ids.empty()) {
    writer.append(ids.data(), static_cast<int64_t>(ids.size()));
    writer.end_document();
  }
  writer.finish();
  return prefix;
}

class ContentTest : public ::testing::Test {
 protected:
  // The same file again, opened anew.
  TokenFile open() const { return TokenFile(prefix_); }
  void keep() const {
    const TokenFile file = open();
    keep_content(file, read_content(file));
  }
  void set_times_of(const struct stat& info) const {
    const timespec times[2] = {info.st_atim, info.st_mtim};
    ASSERT_EQ(::utimensat(AT_FDCWD, (prefix_ + ".bin").c_str(), times, 0), 0);
  }
  struct stat bin_stat() const {
    struct stat info {};
    EXPECT_EQ(::stat((prefix_ + ".bin").c_str(), &info), 0);
    return info;
  }

  TempFolder folder_;
  std::string prefix_ = token_file(folder_ / "a", TokenType::kUint16, {3, 7, 5, 7, 1});
};

TEST_F(ContentTest, IsTheDigestOfTheFileAndTheFirstPlaceOfTheLargestId) {
  EXPECT_EQ(read_content(open()), (TokenFileContent{hash_file(prefix_ + ".bin"), 7, 1}));
  EXPECT_EQ(read_content(TokenFile(token_file(folder_ / "none", TokenType::kInt32, {}))),
            (TokenFileContent{hash_text(""), -1, 0}));
}

TEST_F(ContentTest, OfALongFileIsFoundWhereverTheLargestIdStands) {
  std::vector<int32_t> ids(5'000'000, 70'000);  // 20 MB: several blocks
  for (const size_t at : {size_t{0}, size_t{1'048'575}, size_t{1'048'576}, size_t{4'999'999}}) {
    ids[at] = 80'000;
    const TokenFile file(token_file(folder_ / "long", TokenType::kInt32, ids));
    EXPECT_EQ(read_content(file),
              (TokenFileContent{hash_file(folder_ / "long.bin"), 80'000, static_cast<int64_t>(at)}));
    ids[at] = 70'000;
  }
}

TEST_F(ContentTest, CountsNegativeIdsAsBeyondEveryVocabulary) {
  const TokenFile file(token_file(folder_ / "negative", TokenType::kInt32, {4, -1, 2}));
  EXPECT_EQ(read_content(file).largest_id, 0xFFFFFFFF);
  EXPECT_EQ(read_content(file).largest_at, 1);
}

TEST_F(ContentTest, IsKeptUntilTheFileIsTouchedCopiedOrSwapped) {
  EXPECT_EQ(kept_content(open()), std::nullopt);
  keep();
  EXPECT_EQ(kept_content(open()), read_content(open()));

  std::filesystem::last_write_time(prefix_ + ".bin", std::filesystem::file_time_type::clock::now());
  EXPECT_EQ(kept_content(open()), std::nullopt) << "touched";

  keep();
  std::filesystem::copy_file(prefix_ + ".bin", folder_ / "copy");
  std::filesystem::rename(folder_ / "copy", prefix_ + ".bin");
  EXPECT_EQ(kept_content(open()), std::nullopt) << "another file of the same content";
}

TEST_F(ContentTest, AFileThatWasRewrittenUnderItsOldTimeIsReadAgain) {
  keep();
  const struct stat before = bin_stat();
  const std::string old_digest = read_content(open()).bin_digest;
  wait_for_a_later_tick(prefix_ + ".bin");
  write_file(prefix_ + ".bin", std::string(file_content(prefix_ + ".bin").size(), '\0'));
  set_times_of(before);
  ASSERT_EQ(bin_stat().st_mtim.tv_nsec, before.st_mtim.tv_nsec);
  EXPECT_EQ(kept_content(open()), std::nullopt);
  EXPECT_NE(read_content(open()).bin_digest, old_digest);
}

TEST_F(ContentTest, AnIndexOfAnotherTypeMakesOtherIdsOfTheSameBytes) {
  token_file(prefix_, TokenType::kUint16, {3, 7, 5, 0});
  keep();
  token_file(folder_ / "wide", TokenType::kInt32, {1, 1});
  std::filesystem::copy_file(folder_ / "wide.idx", prefix_ + ".idx", std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(open().tokens(), 2);
  EXPECT_EQ(kept_content(open()), std::nullopt);
  EXPECT_EQ(read_content(open()).largest_id, 3 + 65536 * 7);
}

TEST_F(ContentTest, WhatCannotBeUnderstoodIsAsGoodAsNothing) {
  keep();
  const std::string good = file_content(content_path(prefix_));
  for (const std::string& bad :
       {std::string(), good.substr(0, good.size() / 2), std::string("[1, 2]"), std::string("{}"),
        std::string("\xFF\x00", 2), std::string("{\"format\": 7}"), good + good, std::string(1 << 20, ' ')}) {
    write_file(content_path(prefix_), bad);
    EXPECT_EQ(kept_content(open()), std::nullopt) << bad.substr(0, 40);
  }
  write_file(content_path(prefix_), good);
  EXPECT_NE(kept_content(open()), std::nullopt);
}

TEST_F(ContentTest, AFolderThatCannotBeWrittenCostsAWarningOnly) {
  std::filesystem::create_directory(content_path(prefix_));  // root writes everywhere but here
  ::testing::internal::CaptureStderr();
  keep();
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("cannot be kept beside it"));
  EXPECT_EQ(kept_content(open()), std::nullopt);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), std::filesystem::directory_iterator()),
            3)
      << "something was left behind";
}

TEST_F(ContentTest, AFileThatChangesWhileItIsReadIsRefused) {
  const TokenFile file = open();
  TokenFileReader reader(file);
  wait_for_a_later_tick(prefix_ + ".bin");
  write_file(prefix_ + ".bin", "0123456789");
  EXPECT_NEXUS_ERROR(reader.read(1 << 20), ErrorKind::kData, HasSubstr("changes while it is read"));
  EXPECT_NEXUS_ERROR(const TokenFileReader again(file), ErrorKind::kData, HasSubstr("a.bin"));
}

}  // namespace
}  // namespace nexus
