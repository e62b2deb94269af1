#include "tasks/requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "workloads/text/vocabulary.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;

class Requests : public ::testing::Test {
 protected:
  std::string continuation_of(const ScoreRequest& request) const {
    const std::span<const int32_t> ids(request.ids);
    return tokenizer_.decode(ids.last(static_cast<size_t>(request.scored)));
  }
  ScoreRequest encode(const ContinuationText& text, int64_t context = 64, bool bos = true) const {
    return encode_request(tokenizer_, {context, bos}, text, "items.jsonl:1");
  }
  Tokenizer tokenizer_ = Tokenizer::from_bytes(
      train_vocabulary(std::vector<std::string>(50, "the man saw the sign and the man ran on\n"), 300), "test");
};

TEST_F(Requests, AreBosContextOneSpaceContinuation) {
  const ScoreRequest request = encode({"the man", "saw it"});
  EXPECT_EQ(request.ids.front(), tokenizer_.bos_id());
  EXPECT_EQ(tokenizer_.decode(request.ids), "the man saw it");
  EXPECT_EQ(continuation_of(request), " saw it");
  // The ids are those of the whole text.
  std::vector<int32_t> whole = tokenizer_.encode("the man saw it");
  whole.insert(whole.begin(), tokenizer_.bos_id());
  EXPECT_EQ(request.ids, whole);
  EXPECT_EQ(encode({"the man", "saw it"}, 64, false).ids.size(), whole.size() - 1);
}

TEST_F(Requests, MoveWhiteSpaceOfTheContextsEndToTheContinuation) {
  EXPECT_EQ(continuation_of(encode({"the man \n", "saw"})), " \n saw");
  EXPECT_EQ(continuation_of(encode({"", "saw"})), " saw");
  EXPECT_EQ(continuation_of(encode({"  ", "saw"})), "   saw");
}

TEST_F(Requests, LoseTokensOnTheLeft) {
  const ScoreRequest whole = encode({"the man saw the sign and the man", "ran on"});
  const ScoreRequest cut = encode({"the man saw the sign and the man", "ran on"}, 5);
  EXPECT_EQ(cut.ids, std::vector<int32_t>(whole.ids.end() - 6, whole.ids.end()));  // five are read, the last is not
  EXPECT_EQ(cut.scored, whole.scored);
  const auto just = static_cast<int64_t>(whole.ids.size()) - 1;
  EXPECT_EQ(encode({"the man saw the sign and the man", "ran on"}, just).ids, whole.ids);
}

TEST_F(Requests, OfManyItemsAreThoseOfEach) {
  std::vector<TaskItem> items(200);
  for (size_t i = 0; i < items.size(); ++i)
    for (const char* choice : {"saw it", "ran on", "saw the sign"})
      items[i].choices.push_back({i % 3 == 0 ? "the man" : "the sign and the man" + std::string(i % 7, ' '), choice});
  const std::vector<ScoreRequest> requests = encode_requests(tokenizer_, {64, true}, items);
  ASSERT_EQ(requests.size(), 3 * items.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    const ScoreRequest expected = encode(items[i / 3].choices[i % 3]);
    EXPECT_EQ(requests[i].ids, expected.ids) << i;
    EXPECT_EQ(requests[i].scored, expected.scored) << i;
  }
  for (const size_t bad : {150, 90}) {
    items[bad].choices[1].continuation = std::string(200, 'q');
    items[bad].place = "items.jsonl:" + std::to_string(bad);
  }
  EXPECT_NEXUS_ERROR(encode_requests(tokenizer_, {64, true}, items), ErrorKind::kConfig, HasSubstr("items.jsonl:90"));
}

TEST_F(Requests, AreRefusedWhereTheyCannotBeScored) {
  EXPECT_NEXUS_ERROR(encode({"", "saw"}, 64, false), ErrorKind::kData, HasSubstr("nothing comes before"));
  EXPECT_NEXUS_ERROR(encode({"the", "qqqqqqqqqq"}, 8), ErrorKind::kConfig, HasSubstr("raise --context"));
}

}  // namespace
}  // namespace nexus
