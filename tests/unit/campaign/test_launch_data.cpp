#include "campaign/launch_data.h"

#include <filesystem>

#include "core/files.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "workloads/text/token_file_content.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kContext = 8;

// Documents of fixed length, so that two files of different tokens have the same index.
void write_documents(const std::string& prefix, int32_t first_id) {
  TokenFileWriter writer(prefix, TokenType::kUint16);
  std::vector<int32_t> ids(20);
  for (int document = 0; document < 5; ++document) {
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = first_id + static_cast<int32_t>(i);
    writer.append(ids.data(), static_cast<int64_t>(ids.size()));
    writer.end_document();
  }
  writer.finish();
}

class LaunchDataTest : public ::testing::Test {
 protected:
  LaunchDataTest() {
    write_documents(folder_ / "a", 10);
    write_documents(folder_ / "b", 20);
    write_documents(folder_ / "v", 30);
    spec_.data.train = {{folder_ / "a", 1.0}, {folder_ / "b", 2.0}};
    spec_.data.valid = folder_ / "v";
    spec_.data.context = kContext;
    spec_.model.counts["V"] = 50;
  }

  struct Launch {
    DataIdentity identity;
    std::string index_digest;
    nlohmann::json record;
  };
  Launch launch() {
    const RunData opened = open_data(spec_.data, spec_.model, 1);
    const auto world = make_self_communicator();
    LaunchData data(spec_, opened, *world);
    data.read_contents(*world);
    return {data.identity(), opened.train.index_digest(), data.record()};
  }
  // The changes that a launch finds in a run that was begun by `first`.
  std::vector<FrozenChange> changes(const Launch& first) {
    TrainState state;
    state.data_digest = first.index_digest;
    state.data = first.identity;
    const Launch now = launch();
    return data_changes(spec_, state, now.index_digest, now.identity);
  }
  void swap(const std::string& a, const std::string& b) {
    std::filesystem::rename(folder_ / a, folder_ / "swap");
    std::filesystem::rename(folder_ / b, folder_ / a);
    std::filesystem::rename(folder_ / "swap", folder_ / b);
  }

  TempFolder folder_;
  CampaignSpec spec_;
};

auto with_key(const std::string& key, const std::string& text) {
  return AllOf(Field(&FrozenChange::key, key), Field(&FrozenChange::text, HasSubstr(text)));
}

TEST_F(LaunchDataTest, RecordsWhatEveryFileHolds) {
  const Launch first = launch();
  EXPECT_EQ(first.identity.train.size(), 2u);
  EXPECT_EQ(first.record["V"], 50);
  EXPECT_EQ(first.record["train"][1]["bin_digest"], first.identity.train[1]);
  EXPECT_EQ(first.record["train"][1]["weight"], 2.0);
  EXPECT_EQ(first.record["valid"]["bin_digest"], first.identity.valid);
  EXPECT_EQ(first.record["valid"]["largest_id"], 49);
  EXPECT_TRUE(first.record["tokenizer"]["digest"].is_null());
}

TEST_F(LaunchDataTest, TheSameContentIsTheSameDataWhereverItLies) {
  const Launch first = launch();
  EXPECT_THAT(changes(first), IsEmpty());
  std::filesystem::create_directory(folder_ / "moved");
  for (const char* name : {"a.bin", "a.idx", "b.bin", "b.idx"})
    std::filesystem::rename(folder_ / name, folder_ / ("moved/" + std::string(name)));
  spec_.data.train = {{folder_ / "moved/a", 1.0}, {folder_ / "moved/b", 2.0}};
  EXPECT_THAT(changes(first), IsEmpty());
  std::filesystem::last_write_time(folder_ / "v.bin", std::filesystem::file_time_type::clock::now());
  EXPECT_THAT(changes(first), IsEmpty()) << "touched";
}

TEST_F(LaunchDataTest, OtherTokensUnderTheSameIndexAreFound) {
  const Launch first = launch();
  write_documents(folder_ / "b", 11);
  EXPECT_THAT(changes(first), ElementsAre(with_key("data.train", "data.train.1.path")));
  write_documents(folder_ / "b", 20);
  swap("a.bin", "b.bin");
  EXPECT_THAT(changes(first), ElementsAre(with_key("data.train", "in another order")));
  swap("a.bin", "b.bin");
  swap("a.bin", "v.bin");
  EXPECT_THAT(changes(first), ElementsAre(with_key("data.train", "data.train.0.path"), with_key("data.valid", "(")));
}

TEST_F(LaunchDataTest, OtherOrNoValidationTokensAreFoundAndNewOnesAreNoChange) {
  const Launch first = launch();
  spec_.data.valid = folder_ / "b";
  EXPECT_THAT(changes(first), ElementsAre(with_key("data.valid", "evaluations would not compare")));
  spec_.data.valid = "";
  EXPECT_THAT(changes(first), ElementsAre(with_key("data.valid", "names nothing")));
  const Launch without = launch();
  EXPECT_EQ(updated_identity(first.identity, without.identity).valid, "");  // what was allowed once is not asked again
  spec_.data.valid = folder_ / "v";
  EXPECT_THAT(changes(without), IsEmpty());
}

// Another program's index over the same bytes: ids of half the size, twice as many.
void reread_as_uint16(const std::string& prefix) {
  const int64_t bytes = static_cast<int64_t>(read_text_file(prefix + ".bin").size());
  const std::string bin = read_text_file(prefix + ".bin");
  TokenFileWriter writer(prefix, TokenType::kUint16);
  std::vector<int32_t> ids(static_cast<size_t>(bytes / 2));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<unsigned char>(bin[2 * i]);
  writer.append(ids.data(), bytes / 2);
  writer.end_document();
  writer.finish();
}

TEST_F(LaunchDataTest, TheSameBytesReadAsAnotherTypeAreOtherTokens) {
  for (const char* name : {"a", "v"}) {
    TokenFileWriter writer(folder_ / name, TokenType::kInt32);
    std::vector<int32_t> ids(100, name[0] == 'a' ? 7 : 8);
    writer.append(ids.data(), 100);
    writer.end_document();
    writer.finish();
  }
  Launch first = launch();
  EXPECT_EQ(first.record["valid"]["type"], "int32");
  EXPECT_EQ(data_identity_from_json(to_json(first.identity)), first.identity);
  const std::string bytes = read_text_file(folder_ / "v.bin");
  reread_as_uint16(folder_ / "v");
  ASSERT_EQ(read_text_file(folder_ / "v.bin"), bytes);
  EXPECT_THAT(changes(first), ElementsAre(with_key("data.valid", "holds other tokens")));
  reread_as_uint16(folder_ / "a");
  EXPECT_THAT(changes(first),
              ElementsAre(with_key("data.train", "data.train.0.path"), with_key("data.valid", "other")));
  // Of a checkpoint that recorded no types, the bytes alone are known.
  auto old = to_json(first.identity);
  old.erase("train_types");
  old.erase("valid_type");
  first.identity = data_identity_from_json(old);
  first.index_digest = launch().index_digest;
  EXPECT_THAT(changes(first), IsEmpty());
}

TEST_F(LaunchDataTest, ACheckpointOfAnOlderNexusIsComparedByItsIndex) {
  Launch first = launch();
  first.identity = {};
  write_documents(folder_ / "b", 11);
  EXPECT_THAT(changes(first), IsEmpty()) << "it did not record more";
  first.index_digest = "another";
  EXPECT_THAT(changes(first), ElementsAre(with_key("data.train", "not those that this run was started on")));
}

TEST_F(LaunchDataTest, AnotherTokenizerIsAChangeAndAnUnknownOneIsNot) {
  const Launch now = launch();
  TrainState state;
  state.data_digest = now.index_digest;
  state.data = now.identity;
  state.data.tokenizer = "one";
  EXPECT_THAT(data_changes(spec_, state, now.index_digest, now.identity), IsEmpty());
  EXPECT_EQ(updated_identity(state.data, now.identity).tokenizer, "one");
  DataIdentity other = now.identity;
  other.tokenizer = "two";
  EXPECT_THAT(data_changes(spec_, state, now.index_digest, other),
              ElementsAre(with_key("tokenizer.path", "tokenizer")));
}

TEST_F(LaunchDataTest, IdsBeyondTheVocabularyAreFoundBeforeTheFirstStep) {
  spec_.model.counts["V"] = 49;
  EXPECT_NEXUS_ERROR(launch(), ErrorKind::kData, AllOf(HasSubstr("token 19 has id 49"), HasSubstr("data.valid")));
}

TEST_F(LaunchDataTest, ADigestIsReadOnceAndKept) {
  const Launch first = launch();
  EXPECT_TRUE(path_exists(content_path(folder_ / "a")));
  // What is kept is believed: a digest that nobody could compute from the file.
  const TokenFile file(folder_ / "a");
  keep_content(file, {"0123456789abcdef0123456789abcdef", 29, 19});
  EXPECT_EQ(launch().identity.train[0], "0123456789abcdef0123456789abcdef");
}

}  // namespace
}  // namespace nexus
