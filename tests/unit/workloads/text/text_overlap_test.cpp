#include "workloads/text/text_overlap.h"

#include <filesystem>

#include "core/rng.h"
#include "sample_text.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "workloads/text/token_file_info.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;
using Documents = std::vector<std::vector<int32_t>>;

// Random documents of `tokens` ids below 500; equal seeds give equal documents.
Documents random_documents(int count, int tokens, uint64_t seed) {
  Documents documents;
  for (int d = 0; d < count; ++d) {
    const RandomStream random(seed + static_cast<uint64_t>(d), "overlap");
    documents.emplace_back();
    for (int i = 0; i < tokens; ++i)
      documents.back().push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(i), 500)));
  }
  return documents;
}

std::string write_tokens(const std::string& prefix, const Documents& documents, TokenType type = TokenType::kUint16) {
  TokenFileWriter writer(prefix, type);
  for (const auto& document : documents) {
    writer.append(document.data(), static_cast<int64_t>(document.size()));
    writer.end_document();
  }
  writer.finish();
  return prefix;
}

TEST(TextOverlap, FindsDocumentsThatAreInBoth) {
  const TempFolder folder;
  Documents valid = random_documents(20, 50, 1000), train = random_documents(300, 50, 5000);
  const TokenFile held_out(write_tokens(folder / "valid", valid));
  const TextOverlap none = find_text_overlap(held_out, TokenFile(write_tokens(folder / "train", train)));
  EXPECT_EQ(none.documents, 20);
  EXPECT_EQ(none.documents_found, 0);
  EXPECT_EQ(none.first_found, -1);
  EXPECT_EQ(none.runs, 1000 / 32);
  EXPECT_EQ(none.runs_found, 0);
  train[7] = valid[12];
  train[250] = valid[5];
  train[251] = valid[5];
  // Of another type: ids are compared, not bytes.
  const TextOverlap two =
      find_text_overlap(held_out, TokenFile(write_tokens(folder / "wide", train, TokenType::kInt32)));
  EXPECT_EQ(two.documents_found, 2);
  EXPECT_EQ(two.first_found, 5);
  EXPECT_EQ(find_text_overlap(held_out, held_out).documents_found, 20);
  EXPECT_EQ(find_text_overlap(held_out, held_out).runs_found, none.runs);
}

TEST(TextOverlap, FindsRunsOfTextThatWasCutOtherwise) {
  const TempFolder folder;
  const Documents text = random_documents(1, 200000, 1);
  const std::vector<int32_t>& all = text[0];
  const TokenFile whole(write_tokens(folder / "whole", text));
  // The second half, in documents of other borders, after something else.
  Documents part = random_documents(3, 1000, 77);
  for (size_t i = 100003; i + 1000 <= all.size(); i += 1000)
    part.emplace_back(all.begin() + static_cast<int64_t>(i), all.begin() + static_cast<int64_t>(i) + 1000);
  const TextOverlap overlap = find_text_overlap(TokenFile(write_tokens(folder / "part", part)), whole);
  EXPECT_EQ(overlap.documents_found, 0);
  EXPECT_GT(overlap.runs, 3000);
  // Runs across two documents of `part` are in `whole` as well; those of the first three are not.
  EXPECT_NEAR(static_cast<double>(overlap.runs_found) / static_cast<double>(overlap.runs), 0.97, 0.01);
}

TEST(TextOverlap, FindsDocumentsWithOtherMarks) {
  const TempFolder folder;
  // Nothing, BOS, EOS, both; other ids for them elsewhere.
  const auto marked = [](Documents documents, int32_t bos, int32_t eos) {
    for (auto& document : documents) {
      if (bos > 0) document.insert(document.begin(), bos);
      if (eos > 0) document.push_back(eos);
    }
    return documents;
  };
  for (const int count : {1, 20}) {
    const Documents valid = random_documents(count, 50, 1000), fresh = random_documents(count, 50, 3000);
    Documents train = random_documents(100, 50, 5000);
    train.insert(train.begin() + 50, valid.begin(), valid.end());
    for (const auto& [bos, eos] : {std::pair{0, 0}, {501, 0}, {0, 502}, {501, 502}})
      for (const auto& [other_bos, other_eos] : {std::pair{0, 0}, {601, 0}, {0, 502}, {601, 602}}) {
        SCOPED_TRACE(fmt::format("{} documents, {} {} against {} {}", count, bos, eos, other_bos, other_eos));
        const TokenFile other(write_tokens(folder / "train", marked(train, other_bos, other_eos)));
        const TokenFile copies(write_tokens(folder / "valid", marked(valid, bos, eos)));
        const TextOverlap overlap = find_text_overlap(copies, other);
        EXPECT_EQ(overlap.documents, count);
        EXPECT_EQ(overlap.documents_found, count);
        EXPECT_EQ(overlap.first_found, 0);
        const TokenFile others(write_tokens(folder / "fresh", marked(fresh, bos, eos)));
        EXPECT_EQ(find_text_overlap(others, other).documents_found, 0);
      }
  }
}

TEST(TextOverlap, TellsDocumentsApartThatDifferInTheirFirstToken) {
  const TempFolder folder;
  Documents a = random_documents(20, 50, 1000), b = a;
  for (auto& document : b) document[0] = (document[0] + 1) % 500;
  EXPECT_EQ(find_text_overlap(TokenFile(write_tokens(folder / "a", a)), TokenFile(write_tokens(folder / "b", b)))
                .documents_found,
            0);
}

TEST(TextOverlap, DoesNotCountDocumentsThatRecurByChance) {
  const TempFolder folder;
  const TokenFile file(write_tokens(folder / "a", {{1, 5}, {1, 5, 9}, {1, 5}}));
  const TextOverlap overlap = find_text_overlap(file, file);
  EXPECT_EQ(overlap.documents, 0);
  EXPECT_EQ(overlap.runs, 0);
  EXPECT_EQ(find_text_overlap(file, file, 3).documents_found, 1);
  EXPECT_EQ(find_text_overlap(file, file, 1).documents_found, 3);
}

TEST(SameTextReason, KnowsAFileByAnotherNameAndByItsContent) {
  const TempFolder folder;
  const Documents documents = random_documents(5, 30, 1);
  const std::string a = write_tokens(folder / "a", documents), same = write_tokens(folder / "same", documents);
  Documents changed = documents;
  changed[4][29] ^= 1;
  const std::string other = write_tokens(folder / "other", changed);
  for (const char* suffix : {".bin", ".idx"}) std::filesystem::create_symlink(a + suffix, (folder / "link") + suffix);
  EXPECT_EQ(same_text_reason(a, a), "is the same file");
  EXPECT_EQ(same_text_reason(a, folder / "link"), "is the same file");
  EXPECT_EQ(same_text_reason(a, same), "has the same content");
  EXPECT_EQ(same_text_reason(a, other), "");
}

TEST(SameTextReason, KnowsTheSameTokensUnderAnotherIndex) {
  const TempFolder folder;
  const Documents documents = random_documents(5, 30, 1);
  const std::string narrow = write_tokens(folder / "narrow", documents);
  const std::string wide = write_tokens(folder / "wide", documents, TokenType::kInt32);
  std::vector<int32_t> joined;
  for (const auto& document : documents) joined.insert(joined.end(), document.begin(), document.end());
  const std::string one = write_tokens(folder / "one", {joined});
  // As Megatron writes it for several kinds of data: a mode for each sequence.
  const std::string modes = folder / "modes";
  testing::write_file(modes + ".bin", testing::file_content(narrow + ".bin"));
  testing::write_file(modes + ".idx", testing::file_content(narrow + ".idx") + std::string(documents.size(), '\0'));
  for (const std::string& a : {narrow, wide, one, modes})
    for (const std::string& b : {narrow, wide, one, modes})
      EXPECT_THAT(same_text_reason(a, b), HasSubstr(a == b ? "is the same file" : "has the same tokens")) << a << b;
  joined.back() ^= 1;
  EXPECT_EQ(same_text_reason(narrow, write_tokens(folder / "changed", {joined})), "");
  EXPECT_EQ(same_text_reason(narrow, write_tokens(folder / "wide", {joined}, TokenType::kInt32)), "");
  joined.pop_back();
  EXPECT_EQ(same_text_reason(narrow, write_tokens(folder / "shorter", {joined})), "");
}

TEST(SameTextReason, KnowsTheTextThatTwoBuildsShare) {
  const TempFolder folder;
  const auto described = [&](const char* name, double share, const std::string& build, uint64_t seed) {
    const std::string prefix = write_tokens(folder / name, random_documents(5, 30, seed));
    TokenFileInfo info;
    info.document_mode = "line";
    info.valid_share = share;
    info.build_digest = build;
    info.sources = {{"empty.txt", 0, "0"}, {"text.txt", 100, "abc"}};
    write_token_file_info(prefix, info);
    return prefix;
  };
  const std::string valid = described("valid", 0.1, "build 1", 1), train = described("train", 0.1, "build 1", 2);
  EXPECT_EQ(same_text_reason(valid, train), "");  // the two parts of one build
  EXPECT_THAT(same_text_reason(valid, described("all", 0, "build 2", 3)), HasSubstr("was built from text.txt too"));
  // Another vocabulary, but divided at the same places.
  EXPECT_EQ(same_text_reason(valid, described("vocabulary", 0.1, "build 3", 4)), "");
}

}  // namespace
}  // namespace nexus
