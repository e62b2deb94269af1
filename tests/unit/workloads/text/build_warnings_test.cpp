#include "workloads/text/build_warnings.h"

#include "core/log.h"
#include "sample_text.h"
#include "sentence_lines.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "workloads/text/dataset_builder.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using testing::file_content;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::sample_text;
using testing::sample_tokenizer;
using testing::write_file;
using testing::zst;

std::string repeat(const std::string& text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

class BuildWarningsTest : public ::testing::Test {
 protected:
  BuildWarningsTest() { write_file(folder_ / "tok.model", sample_tokenizer().model_bytes()); }

  BuildOptions options(const std::string& text, DocumentMode mode, double share) {
    BuildOptions options;
    options.inputs = {write_file(folder_ / "in.txt", text)};
    options.out = folder_ / "set";
    options.documents = mode;
    options.tokenizer = folder_ / "tok.model";
    options.valid_share = share;
    options.workers = 1;
    options.force = true;
    return options;
  }
  // What a build warns of; the same build again must warn of the same.
  std::string told_by(BuildOptions build) {
    ::testing::internal::CaptureStderr();
    build_dataset(build);
    const std::string told = without_times(::testing::internal::GetCapturedStderr());
    build.force = false;
    ::testing::internal::CaptureStderr();
    EXPECT_TRUE(build_dataset(build).was_complete);
    EXPECT_EQ(without_times(::testing::internal::GetCapturedStderr()), told);
    return told;
  }
  static std::string without_times(std::string told) {
    for (size_t at = 0; (at = told.find(" warning: ", at)) != std::string::npos;) {
      const size_t begin = told.rfind('\n', at) + 1;  // 0 where there is none
      told.erase(begin, at - begin + 1);
      at = begin + 1;
    }
    return told;
  }
  TempFolder folder_;
};

TEST_F(BuildWarningsTest, SaysNothingOfWhatIsAsItShouldBe) {
  EXPECT_EQ(told_by(options(sample_text(300000), DocumentMode::kLine, 0.05)), "");
  EXPECT_EQ(told_by(options(sample_text(300000), DocumentMode::kFile, 0.02)), "");
}

TEST_F(BuildWarningsTest, WeighsUnknownTextByItsBytes) {
  write_file(folder_ / "latin.model", testing::train_latin_model_without_bytes());
  // Runs of unknown characters are one token each, however long.
  const std::string latin = repeat("plain words of a little text\n", 200), han = repeat("東京", 5000) + "\n";
  for (const DocumentMode mode : {DocumentMode::kFile, DocumentMode::kLine}) {
    BuildOptions build = options(latin + han, mode, 0);
    build.tokenizer = folder_ / "latin.model";
    EXPECT_THAT(told_by(build), HasSubstr(mode == DocumentMode::kFile ? "83.8 % of the text's bytes are unknown"
                                                                      : "84.3 % of the text's bytes are unknown"));
    const TokenFileInfo info = read_token_file_info(train_prefix(build.out)).value();
    EXPECT_EQ(info.unknown_bytes, 30000);
    EXPECT_LT(info.unknown_tokens.value() * 50, info.tokens);
  }
  BuildOptions build = options("plain words\n東 京\nplain words\n", DocumentMode::kLine, 0);
  build.tokenizer = folder_ / "latin.model";
  EXPECT_THAT(told_by(build), HasSubstr("which is lost"));
  EXPECT_EQ(read_token_file_info(train_prefix(build.out))->unknown_tokens, 2);
  build.inputs = {write_file(folder_ / "in.txt", latin + "東京\n")};
  EXPECT_EQ(told_by(build), "");
}

TEST_F(BuildWarningsTest, StillGoesByTokensWhereAnOlderBuildCountedNoBytes) {
  TokenFileInfo info;
  info.tokens = info.text_bytes = 1000;
  info.unknown_tokens = 30;
  EXPECT_THAT(part_warnings(info, nullptr), ::testing::ElementsAre(HasSubstr("3.0 % of the tokens")));
  info.unknown_bytes = 3;
  EXPECT_TRUE(part_warnings(info, nullptr).empty());
}

TEST_F(BuildWarningsTest, NamesTextThatIsThereTwiceHoweverItIsPacked) {
  const std::string text = sample_text(20000);
  for (const std::string& copy : {text, zst(text), "\xEF\xBB\xBF" + text, zst("\xEF\xBB\xBF" + text)})
    for (const DocumentMode mode : {DocumentMode::kLine, DocumentMode::kFile}) {
      BuildOptions build = options(text, mode, 0.1);
      build.inputs.push_back(write_file(folder_ / "copy.txt", copy));
      // One file is one document there, and both give the same tail.
      EXPECT_EQ(told_by(build).find("copy.txt has the same content as") != std::string::npos,
                mode == DocumentMode::kLine);
    }
  BuildOptions build = options(text, DocumentMode::kLine, 0.1);
  build.inputs.push_back(write_file(folder_ / "copy.txt", text + "and more\n"));
  for (const char* empty : {"e", "f"}) build.inputs.push_back(write_file(folder_ / empty, ""));
  EXPECT_THAT(told_by(build), Not(HasSubstr("same content")));
}

TEST_F(BuildWarningsTest, NamesJsonThatIsTakenAsText) {
  for (const char* name : {"a.jsonl", "a.ndjson", "A.JSON", "a.jsonl.zst", "a.ldjson", "a.jsonlines"}) {
    BuildOptions build = options("", DocumentMode::kLine, 0.1);
    build.inputs = {write_file(folder_ / name, repeat("{\"text\": \"some words\"}\n", 300))};
    EXPECT_THAT(told_by(build), HasSubstr(std::string(name) + " is taken as plain text"));
    build.documents = DocumentMode::kJsonLines;
    EXPECT_THAT(told_by(build), Not(HasSubstr("plain text")));
  }
  EXPECT_TRUE(json_warnings({"json.txt", "of.json/a.txt"}, DocumentMode::kLine).empty());
}

// `count` documents, each a line of `size` characters.
std::string lines(int count, int size, const std::string& character) {
  return repeat(repeat(character, size) + "\n", count);
}

TEST_F(BuildWarningsTest, NamesAValidationPartThatIsFarFromItsShare) {
  // 43 % of the text lies in ten documents, none of which is held out.
  const std::string told = told_by(options(lines(990, 240, "a") + lines(10, 6000, "東"), DocumentMode::kLine, 0.02));
  EXPECT_THAT(told, AllOf(HasSubstr("10 documents are so long"), HasSubstr("0 % are held out instead of 2 %")));
  // The same in thousands of documents, more than are listed.
  EXPECT_THAT(told_by(options(lines(120000, 9, "a") + lines(3, 300000, "b"), DocumentMode::kLine, 0.02)),
              AllOf(HasSubstr("3 documents are so long"), HasSubstr("the validation part holds")));
  // Long documents that hold little of the text.
  EXPECT_EQ(told_by(options(lines(5000, 240, "a") + lines(1, 20000, "b"), DocumentMode::kLine, 0.02)), "");
}

TEST(LongDocumentWarnings, AreOfDocumentsThatMatterAndWereDividedBadly) {
  EXPECT_EQ(long_document_warnings({10, 1000, 0}, 2000, 0.02).size(), 1u);
  EXPECT_EQ(long_document_warnings({10, 1000, 100}, 2000, 0.02).size(), 1u);
  EXPECT_TRUE(long_document_warnings({10, 1000, 20}, 2000, 0.02).empty());
  EXPECT_TRUE(long_document_warnings({1, 10, 0}, 2000, 0.02).empty());
  EXPECT_TRUE(long_document_warnings({}, 2000, 0.02).empty());
}

}  // namespace
}  // namespace nexus
