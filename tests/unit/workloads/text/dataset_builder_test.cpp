#include "workloads/text/dataset_builder.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/hash.h"
#include "sample_text.h"
#include "sentence_lines.h"
#include "support/expect_error.h"
#include "support/later_tick.h"
#include "support/temp_folder.h"
#include "workloads/text/token_file.h"

namespace nexus {
namespace {

using testing::file_content;
using ::testing::HasSubstr;
using testing::sample_text;
using testing::sample_tokenizer;
using testing::write_file;

class DatasetBuilderTest : public ::testing::Test {
 protected:
  DatasetBuilderTest() { write_file(folder_ / "tok.model", sample_tokenizer().model_bytes()); }

  BuildOptions options(const std::string& text, DocumentMode mode = DocumentMode::kFile, double share = 0.1) {
    BuildOptions options;
    options.inputs = {write_file(folder_ / "in.txt", text)};
    options.out = folder_ / "out/set";
    options.documents = mode;
    options.tokenizer = folder_ / "tok.model";
    options.valid_share = share;
    options.workers = 2;
    return options;
  }
  // The documents of a token file as text; checks that each begins with its only BOS.
  std::vector<std::string> texts(const std::string& prefix) {
    const TokenFile file(prefix);
    std::vector<std::string> result;
    for (int64_t d = 0; d < file.documents(); ++d) {
      const TokenFile::Document place = file.document(d);
      std::vector<int32_t> ids(static_cast<size_t>(place.tokens));
      file.read(place.first_token, place.tokens, ids.data());
      EXPECT_EQ(std::count(ids.begin(), ids.end(), sample_tokenizer().bos_id()), 1);
      EXPECT_EQ(ids.front(), sample_tokenizer().bos_id());
      result.push_back(sample_tokenizer().decode(ids));
    }
    return result;
  }
  TempFolder folder_;
};

TEST_F(DatasetBuilderTest, GivesAFileBackAsTrainingTextThenValidationText) {
  const std::string text = sample_text(600000);
  const BuildOptions build = options(text);
  const BuildResult result = build_dataset(build);
  const std::vector<std::string> train = texts(train_prefix(build.out)), valid = texts(valid_prefix(build.out));
  ASSERT_EQ(train.size(), 1u);
  ASSERT_EQ(valid.size(), 1u);
  EXPECT_EQ(train[0] + valid[0], text);
  EXPECT_EQ(result.train.text_bytes, static_cast<int64_t>(train[0].size()));
  EXPECT_EQ(result.valid->text_bytes, static_cast<int64_t>(valid[0].size()));
  EXPECT_EQ(result.train.tokens, TokenFile(train_prefix(build.out)).tokens());
}

TEST_F(DatasetBuilderTest, WritesTheSameBytesWhateverTheNumberOfWorkers) {
  const std::string text = sample_text(1500000);
  BuildOptions one = options(text, DocumentMode::kBlankLine), three = one;
  one.workers = 1;
  three.workers = 3;
  three.out = folder_ / "elsewhere/set";
  one.tokenizer = three.tokenizer = "";
  one.vocab_size = three.vocab_size = 450;
  build_dataset(one);
  build_dataset(three);
  for (const char* name :
       {".model", "-train.bin", "-train.idx", "-train.json", "-valid.bin", "-valid.idx", "-valid.json"})
    EXPECT_EQ(hash_file(one.out + name), hash_file(three.out + name)) << name;
  EXPECT_GT(TokenFile(train_prefix(one.out)).documents(), 1000);
}

TEST_F(DatasetBuilderTest, NeverPutsADocumentIntoBothParts) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += fmt::format("{{\"text\": \"document {}\\nof many\"}}\n", i);
  const BuildOptions build = options(text, DocumentMode::kJsonLines, 0.05);
  build_dataset(build);
  std::vector<std::string> all = texts(train_prefix(build.out));
  const std::vector<std::string> valid = texts(valid_prefix(build.out));
  EXPECT_GT(valid.size(), 50u);
  all.insert(all.end(), valid.begin(), valid.end());
  EXPECT_EQ(all.size(), 3000u);
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
}

TEST_F(DatasetBuilderTest, WritesNoValidationFilesForAShareOfZero) {
  const std::string text = sample_text(5000);
  const BuildOptions build = options(text, DocumentMode::kFile, 0);
  EXPECT_FALSE(build_dataset(build).valid.has_value());
  EXPECT_FALSE(path_exists(valid_prefix(build.out) + ".idx"));
  EXPECT_EQ(texts(train_prefix(build.out)), std::vector<std::string>{text});
}

TEST_F(DatasetBuilderTest, DoesNothingWhenTheSameIsBuiltAgain) {
  BuildOptions build = options(sample_text(20000));
  EXPECT_FALSE(build_dataset(build).was_complete);
  const auto time = std::filesystem::last_write_time(train_prefix(build.out) + ".bin");
  build.workers = 1;
  const BuildResult again = build_dataset(build);
  EXPECT_TRUE(again.was_complete);
  EXPECT_TRUE(again.valid.has_value());
  EXPECT_EQ(std::filesystem::last_write_time(train_prefix(build.out) + ".bin"), time);
}

TEST_F(DatasetBuilderTest, DoesNotCallOtherTokensComplete) {
  const BuildOptions build = options(sample_text(20000));
  build_dataset(build);
  const std::string bin = train_prefix(build.out) + ".bin", good = file_content(bin);
  wait_for_a_later_tick(bin);
  write_file(bin, std::string(good.size(), '\1'));
  EXPECT_NEXUS_ERROR(build_dataset(build), ErrorKind::kData, HasSubstr("the .bin is not the one"));
  wait_for_a_later_tick(bin);
  write_file(bin, good);
  EXPECT_TRUE(build_dataset(build).was_complete);
}

TEST_F(DatasetBuilderTest, TakesWhatAnOlderNexusBuiltFromTheSame) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "line " + std::to_string(i) + " of a small text\n";
  BuildOptions build = options(text, DocumentMode::kLine);
  build.tokenizer.clear();
  build.vocab_size = 300;
  build_dataset(build);
  for (const std::string& prefix : {train_prefix(build.out), valid_prefix(build.out)}) {
    TokenFileInfo info = read_token_file_info(prefix).value();
    info.build_digest = "da138e94c316a4edabc3bfe52be32386";  // as version 1 of the builder wrote it
    write_token_file_info(prefix, info);
  }
  ::testing::internal::CaptureStderr();
  EXPECT_TRUE(build_dataset(build).was_complete);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("was built by an older nexus"));
}

TEST_F(DatasetBuilderTest, DoesNotCallOtherFilesComplete) {
  const BuildOptions build = options(sample_text(20000));
  build_dataset(build);
  BuildOptions other = build;
  other.inputs = {write_file(folder_ / "other.txt", sample_text(30000, 2))};
  other.out = folder_ / "out/other";
  build_dataset(other);
  const auto refused = [&](const std::string& path, const std::string& with, const char* why) {
    SCOPED_TRACE(path);
    const std::string good = file_content(path);
    wait_for_a_later_tick(path);
    write_file(path, with);
    EXPECT_NEXUS_ERROR(build_dataset(build), ErrorKind::kData, HasSubstr(why));
    wait_for_a_later_tick(path);
    write_file(path, good);
    EXPECT_TRUE(build_dataset(build).was_complete);
  };
  for (const std::string& prefix : {train_prefix(build.out), valid_prefix(build.out)}) {
    // Two documents instead of one, of the same tokens: only the digest of the .idx tells.
    const TokenFile file(prefix);
    std::vector<int32_t> ids(static_cast<size_t>(file.tokens()));
    file.read(0, file.tokens(), ids.data());
    TokenFileWriter writer(folder_ / "cut", file.type());
    for (const size_t begin : {size_t{0}, ids.size() / 2}) {
      writer.append(ids.data() + begin,
                    static_cast<int64_t>(begin == 0 ? ids.size() / 2 : ids.size() - ids.size() / 2));
      writer.end_document();
    }
    writer.finish();
    refused(prefix + ".idx", file_content((folder_ / "cut") + ".idx"), "the .idx is not the one");
  }
  refused(build.out + ".model", "precious", "not the tokenizer that made");
  for (const char* suffix : {".bin", ".idx", ".json", ".digest"})
    std::filesystem::copy_file(valid_prefix(other.out) + suffix, valid_prefix(build.out) + suffix,
                               std::filesystem::copy_options::overwrite_existing);
  EXPECT_NEXUS_ERROR(build_dataset(build), ErrorKind::kData, HasSubstr("of another build than the other part"));
  std::filesystem::remove(valid_prefix(build.out) + ".json");
  EXPECT_NEXUS_ERROR(build_dataset(build), ErrorKind::kData, HasSubstr("the description of these token files is gone"));
}

TEST_F(DatasetBuilderTest, BringsATokenizerBackThatIsGone) {
  for (const bool trains : {false, true}) {
    BuildOptions build = options(sample_text(20000));
    build.out = folder_ / (trains ? "out/trained" : "out/given");
    build.vocab_size = trains ? 400 : 0;
    if (trains) build.tokenizer.clear();
    build_dataset(build);
    const std::string model = file_content(build.out + ".model"), bin = file_content(train_prefix(build.out) + ".bin");
    std::filesystem::remove(build.out + ".model");
    EXPECT_EQ(build_dataset(build).was_complete, !trains);
    EXPECT_EQ(file_content(build.out + ".model"), model);
    EXPECT_EQ(file_content(train_prefix(build.out) + ".bin"), bin);
    EXPECT_TRUE(build_dataset(build).was_complete);
  }
}

TEST_F(DatasetBuilderTest, ReplacesOtherFilesOnlyByForce) {
  build_dataset(options(sample_text(20000)));
  BuildOptions changed = options(sample_text(30000));
  EXPECT_NEXUS_ERROR(build_dataset(changed), ErrorKind::kConfig, HasSubstr("built from other text or options"));
  changed.valid_share = 0;
  changed.force = true;
  build_dataset(changed);
  EXPECT_EQ(texts(train_prefix(changed.out)), std::vector<std::string>{sample_text(30000)});
  EXPECT_FALSE(path_exists(valid_prefix(changed.out) + ".bin"));
}

TEST_F(DatasetBuilderTest, KeepsATokenizerThatLiesInTheWay) {
  BuildOptions build = options(sample_text(20000));
  make_folders(folder_ / "out");
  write_file(build.out + ".model", "precious");
  EXPECT_NEXUS_ERROR(build_dataset(build), ErrorKind::kConfig, HasSubstr("another tokenizer lies here"));
  EXPECT_EQ(file_content(build.out + ".model"), "precious");
}

TEST_F(DatasetBuilderTest, FinishesWhatWasInterruptedBeforeTheLastFile) {
  const BuildOptions build = options(sample_text(20000));
  build_dataset(build);
  const std::string digest = hash_file(train_prefix(build.out) + ".bin");
  for (const char* suffix : {".json", ".idx"}) std::filesystem::remove(train_prefix(build.out) + suffix);
  EXPECT_FALSE(build_dataset(build).was_complete);
  EXPECT_EQ(hash_file(train_prefix(build.out) + ".bin"), digest);
}

TEST_F(DatasetBuilderTest, RefusesANameThatNoCampaignCanHoldBeforeItReadsAnything) {
  BuildOptions build = options(sample_text(1000));
  build.inputs = {folder_ / "not there"};
  for (const auto& [name, told] : {std::pair{"caf\xE9", "not UTF-8"},
                                   {"soft\u00ADhyphen", "U+00AD"},
                                   {"a\tb", "tab"},
                                   {"a\nb", "line break"},
                                   {"a\x1B[31m", "control character"},
                                   {"\u202Eabc", "bidirectional"},
                                   {"a\u200Bb", "invisible"}}) {
    build.out = folder_ / name;
    EXPECT_NEXUS_ERROR(build_dataset(build), ErrorKind::kConfig, HasSubstr(told));
  }
}

TEST_F(DatasetBuilderTest, BuildsFromTextsWhoseNamesAreNotUtf8) {
  BuildOptions build = options(sample_text(50000));
  build.inputs = {write_file(folder_ / "caf\xE9.txt", sample_text(50000))};
  build_dataset(build);
  verify_token_file(train_prefix(build.out));
  EXPECT_THAT(read_token_file_info(train_prefix(build.out))->sources.at(0).path, HasSubstr("caf\xEF\xBF\xBD.txt"));
}

TEST_F(DatasetBuilderTest, NamesAShareThatWorksWhereTheTextIsTooLittleForTheValidationPart) {
  BuildOptions build = options("one two\nthree\nfour five six\n", DocumentMode::kLine, 0.02);
  EXPECT_NEXUS_ERROR(build_dataset(build), ErrorKind::kData,
                     ::testing::AllOf(HasSubstr("3 documents with 25 bytes"), HasSubstr("--valid-share 0.17 or more")));
  build.valid_share = 0.17;
  EXPECT_GT(build_dataset(build).valid->tokens, 0);
  build = options("abc", DocumentMode::kFile, 0.5);
  build.force = true;
  EXPECT_NEXUS_ERROR(build_dataset(build), ErrorKind::kData, HasSubstr("give more text"));
}

TEST_F(DatasetBuilderTest, RefusesOptionsThatMakeNoSense) {
  const std::string text = sample_text(2000);
  const auto refused = [&](ErrorKind kind, const char* why, auto change) {
    BuildOptions build = options(text);
    change(build);
    EXPECT_NEXUS_ERROR(build_dataset(build), kind, HasSubstr(why));
  };
  refused(ErrorKind::kConfig, "vocabulary is not clear", [](auto& b) { b.vocab_size = 300; });
  refused(ErrorKind::kConfig, "vocabulary is not clear", [](auto& b) { b.tokenizer = ""; });
  refused(ErrorKind::kConfig, "validation share of 0.9", [](auto& b) { b.valid_share = 0.9; });
  for (const char* folder : {"/", "/.", "/.."})
    refused(ErrorKind::kConfig, "names a folder", [&](auto& b) { b.out = folder_.path() + folder; });
  refused(ErrorKind::kConfig, "--json-field without", [](auto& b) { b.json_field = "body"; });
  refused(ErrorKind::kData, "there is no such tokenizer", [](auto& b) { b.tokenizer = "nowhere.model"; });
  refused(ErrorKind::kConfig, "no input files", [](auto& b) { b.inputs.clear(); });
  refused(ErrorKind::kConfig, "-1 workers", [](auto& b) { b.workers = -1; });
  refused(ErrorKind::kData, "No such file", [](auto& b) { b.inputs = {"no/such/file"}; });
  refused(ErrorKind::kData, "there is no text", [](auto& b) { write_file(b.inputs[0], ""); });
  refused(ErrorKind::kData, "too little for a validation share", [](auto& b) { write_file(b.inputs[0], "word"); });
}

TEST_F(DatasetBuilderTest, VerifiesTheTextOfEveryTokenizer) {
  std::string text = sample_text(20000) + "  two  spaces \xE2\x96\x81 and the sign for one \xE2\x96\x81\xE2\x96\x81\n";
  write_file(folder_ / "latin.model", testing::train_latin_model_without_bytes());  // NFKC, dummy prefix, unknown text
  for (const char* model : {"tok.model", "latin.model"})
    for (const DocumentMode mode : {DocumentMode::kFile, DocumentMode::kLine}) {
      BuildOptions build = options(text, mode);
      build.tokenizer = folder_ / model;
      build.force = true;
      build_dataset(build);
      for (const std::string& prefix : {train_prefix(build.out), valid_prefix(build.out)}) {
        verify_token_file(prefix);
        TokenFileInfo info = read_token_file_info(prefix).value();
        info.text_bytes = 10;
        write_token_file_info(prefix, info);
        EXPECT_NEXUS_ERROR(verify_token_file(prefix), ErrorKind::kData, HasSubstr("but the tokens stand for"));
      }
    }
}

TEST_F(DatasetBuilderTest, VerifiesEveryByte) {
  const BuildOptions build = options(sample_text(50000));
  build_dataset(build);
  const std::string prefix = train_prefix(build.out);
  verify_token_file(prefix);
  verify_token_file(valid_prefix(build.out));

  const auto refused = [&](const std::string& path, const char* why, auto damage) {
    const std::string good = file_content(path);
    std::string bad = good;
    damage(bad);
    write_file(path, bad);
    EXPECT_NEXUS_ERROR(verify_token_file(prefix), ErrorKind::kData, HasSubstr(why));
    write_file(path, good);
  };
  const auto flip = [](std::string& s) { s[s.size() / 2] ^= 1; };
  refused(prefix + ".bin", "the digest is", flip);
  refused(prefix + ".bin", "bytes, but the index describes", [](std::string& s) { s.resize(s.size() - 2); });
  refused(prefix + ".json", "cannot read the description", [](std::string& s) { s.resize(s.size() / 2); });
  refused(prefix + ".json", "the number of tokens is", [](std::string& s) {
    auto json = nlohmann::json::parse(s);
    json["tokens"] = 1;
    s = json.dump();
  });
  refused(prefix + ".json", "outside the vocabulary of 300", [](std::string& s) {
    auto json = nlohmann::json::parse(s);
    json["vocab_size"] = 300;
    s = json.dump();
  });
  const auto say = [&](const char* key, int64_t value, const char* why) {
    SCOPED_TRACE(key);
    refused(prefix + ".json", why, [&](std::string& s) {
      auto json = nlohmann::json::parse(s);
      json[key] = value;
      s = json.dump();
    });
  };
  const TokenFileInfo info = read_token_file_info(prefix).value();
  for (const int64_t bytes : {int64_t{0}, int64_t{-1}, int64_t{1}, info.text_bytes - 2, info.text_bytes * 2})
    say("text_bytes", bytes, "but the tokens stand for");
  for (const int64_t bytes : {int64_t{-1}, int64_t{2}, info.text_bytes})
    say("unknown_bytes", bytes, "the tokens stand");
  say("unknown_tokens", 1, "the number of unknown tokens is 0");
  say("vocab_size", info.vocab_size + 1, "the vocabulary size is");
  say("bos_id", info.bos_id + 1, "the id of BOS is");
  refused(build.out + ".model", "the digest is", [](std::string& s) { s += std::string("\x42\x00", 2); });
  verify_token_file(prefix);
}

}  // namespace
}  // namespace nexus
