#include "workloads/text/data_check.h"

#include <filesystem>

#include "core/files.h"
#include "sample_text.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "workloads/text/dataset_builder.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::sample_text;
using testing::write_file;

constexpr int64_t kVocab = 400;

// Two builds of one text by different tokenizers of one size, and a copy of the first one's training file without
// description, as Megatron writes it.
class DataCheckTest : public ::testing::Test {
 protected:
  DataCheckTest() {
    build("a", 1);
    build("b", 2);
    for (const char* suffix : {".bin", ".idx"})
      std::filesystem::copy_file(folder_ / ("a-train" + std::string(suffix)),
                                 folder_ / ("plain" + std::string(suffix)));
  }
  void build(const std::string& name, uint64_t seed) {
    BuildOptions options;
    options.inputs = {write_file(folder_ / "text.txt", sample_text(60000))};
    options.out = folder_ / name;
    options.tokenizer = folder_ / (name + "-given.model");
    write_file(options.tokenizer, train_vocabulary({sample_text(50000, seed)}, kVocab));
    options.valid_share = 0.1;
    build_dataset(options);
  }

  // Compares the files of these names; the first is called data.valid in messages.
  std::string check(const std::vector<std::string>& names, const std::string& tokenizer = "", int64_t vocab = kVocab) {
    std::vector<std::unique_ptr<TokenFile>> open;
    std::vector<NamedTokenFile> files;
    for (const std::string& name : names) {
      open.push_back(std::make_unique<TokenFile>(folder_ / name));
      files.push_back(name_token_file(files.empty() ? "data.valid" : "data.train.0.path", *open.back()));
    }
    std::optional<TokenizerIdentity> identity;
    if (!tokenizer.empty()) identity = identify_tokenizer(folder_ / tokenizer);
    const std::string digest = check_descriptions(files, identity, vocab);
    for (const NamedTokenFile& file : files) check_content(file, read_content(*file.file), vocab);
    return digest;
  }

  TempFolder folder_;
};

TEST_F(DataCheckTest, WhatBelongsTogetherAgreesOnTheTokenizer) {
  const std::string digest = Tokenizer(folder_ / "a.model").digest();
  EXPECT_EQ(check({"a-valid", "a-train"}, "a.model"), digest);
  EXPECT_EQ(check({"a-valid", "a-train"}), digest);
  EXPECT_EQ(check({"plain"}, "a.model"), digest);
  EXPECT_EQ(check({"plain"}), "");
  EXPECT_EQ(check({"plain", "a-train"}), digest);
  EXPECT_EQ(check({"a-valid", "a-train"}, "a.model", 512), digest) << "a model may have more rows than pieces";
}

TEST_F(DataCheckTest, ATokenizerThatIsNotThereOrIsNoneIsRefused) {
  EXPECT_NEXUS_ERROR(check({"a-valid"}, "nowhere.model"), ErrorKind::kConfig,
                     AllOf(HasSubstr("no tokenizer"), HasSubstr("tokenizer.path"), HasSubstr("nowhere.model")));
  std::filesystem::create_directory(folder_ / "folder.model");
  EXPECT_NEXUS_ERROR(check({"a-valid"}, "folder.model"), ErrorKind::kData, HasSubstr("not a regular file"));
  write_file(folder_ / "empty.model", "");
  EXPECT_NEXUS_ERROR(check({"a-valid"}, "empty.model"), ErrorKind::kData, HasSubstr("empty.model"));
  EXPECT_NEXUS_ERROR(check({"a-valid"}, "text.txt"), ErrorKind::kData, HasSubstr("text.txt"));
}

TEST_F(DataCheckTest, AnotherTokenizerOfTheSameSizeIsRefused) {
  EXPECT_NEXUS_ERROR(check({"a-valid", "a-train"}, "b.model"), ErrorKind::kConfig,
                     AllOf(HasSubstr("another tokenizer"), HasSubstr("data.valid"), HasSubstr("tokenizer.path")));
  EXPECT_NEXUS_ERROR(check({"b-valid", "a-train"}), ErrorKind::kConfig,
                     AllOf(HasSubstr("another tokenizer"), HasSubstr("data.train.0.path"), HasSubstr("data.valid")));
  EXPECT_NEXUS_ERROR(check({"b-valid", "plain", "a-train"}), ErrorKind::kConfig, HasSubstr("another tokenizer"));
}

TEST_F(DataCheckTest, MorePiecesThanTheModelHasRowsAreRefusedWhetherTheyOccurOrNot) {
  EXPECT_NEXUS_ERROR(check({"a-valid"}, "a.model", kVocab - 1), ErrorKind::kConfig,
                     AllOf(HasSubstr("tokenizer has 400 pieces"), HasSubstr("model.V is 399")));
  EXPECT_NEXUS_ERROR(check({"a-valid"}, "", kVocab - 1), ErrorKind::kConfig,
                     AllOf(HasSubstr("400 pieces"), HasSubstr("data.valid")));
}

TEST_F(DataCheckTest, IdsBeyondTheVocabularyAreFoundWithoutADescription) {
  EXPECT_NEXUS_ERROR(check({"plain"}, "", 300), ErrorKind::kData,
                     AllOf(HasSubstr("outside the vocabulary of model.V = 300"), HasSubstr("plain")));
  TokenFileWriter writer(folder_ / "negative", TokenType::kInt32);
  const int32_t ids[] = {1, -5, 2};
  writer.append(ids, 3);
  writer.end_document();
  writer.finish();
  EXPECT_NEXUS_ERROR(check({"negative"}), ErrorKind::kData, HasSubstr("token 1 has id -5"));
}

TEST_F(DataCheckTest, FilesOfDifferentBuildsUnderOneNameAreRefused) {
  const auto replace = [&](const std::string& from, const std::string& to) {
    std::filesystem::copy_file(folder_ / from, folder_ / to, std::filesystem::copy_options::overwrite_existing);
  };
  // Another file of the same length.
  std::string bytes = testing::file_content(folder_ / "a-train.bin");
  bytes[100] ^= 1;
  write_file(folder_ / "a-train.bin", bytes);
  EXPECT_NEXUS_ERROR(check({"a-train"}), ErrorKind::kData,
                     AllOf(HasSubstr("the .bin is not the one"), HasSubstr("a-train")));
  replace("plain.bin", "a-train.bin");
  check({"a-train"});
  replace("a-valid.json", "a-train.json");
  EXPECT_NEXUS_ERROR(check({"a-train"}), ErrorKind::kData, HasSubstr("the .json beside says"));
}

TEST_F(DataCheckTest, AnOldDescriptionWithoutDigestsIsComparedByWhatItHas) {
  auto json = nlohmann::json::parse(testing::file_content(folder_ / "a-train.json"));
  for (const char* key : {"bin_digest", "idx_digest", "tokenizer_digest"}) json.erase(key);
  write_file(folder_ / "a-train.json", json.dump());
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(check({"a-train"}), "");
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("has no tokenizer_digest, bin_digest, idx_digest"));
  EXPECT_EQ(check({"a-train"}, "a.model"), Tokenizer(folder_ / "a.model").digest());
  write_file(folder_ / "small.model", train_vocabulary({sample_text(50000)}, 390));
  EXPECT_NEXUS_ERROR(check({"a-train"}, "small.model"), ErrorKind::kConfig, HasSubstr("another tokenizer"));
}

TEST_F(DataCheckTest, TheJsonOfAnotherProgramDescribesNothing) {
  for (const std::string& text :
       {std::string("{\"text\": \"a document\"}\n"), std::string("[]"), std::string("no JSON")}) {
    write_file(folder_ / "plain.json", text);
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(check({"plain"}), "");
    EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("plain.json is no description by nexus"));
  }
}

TEST_F(DataCheckTest, WhatIsLeftOfADescriptionOfOursIsNotTakenForAnotherPrograms) {
  const std::string whole = testing::file_content(folder_ / "a-train.json");
  std::vector<std::string> rests = {"", " \n", std::string(512, '\0')};
  for (const size_t size : {1, 2, 10, 28, 29, 200}) rests.push_back(whole.substr(0, size));
  rests.push_back(whole.substr(0, whole.size() - 3));
  for (const std::string& rest : rests) {
    write_file(folder_ / "a-train.json", rest);
    EXPECT_NEXUS_ERROR(check({"a-train"}, "b.model"), ErrorKind::kData, HasSubstr("a-train.json"));
    EXPECT_NEXUS_ERROR(verify_token_file(folder_ / "a-train"), ErrorKind::kData, HasSubstr("a-train.json"));
  }
}

TEST_F(DataCheckTest, ABuildKeepsTheContentThatItWrote) {
  for (const char* name : {"a-train", "a-valid"}) {
    const TokenFile file(folder_ / name);
    EXPECT_EQ(kept_content(file), read_content(file));
  }
}

}  // namespace
}  // namespace nexus
