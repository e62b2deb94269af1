#include "workloads/text/vocabulary.h"

#include "sample_text.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::sample_text;

TEST(TrainVocabulary, GivesTheSizeAskedForAndTheSameModelEveryTime) {
  const std::vector<std::string> sample = {sample_text(50000)};
  const std::string model = train_vocabulary(sample, 420);
  EXPECT_EQ(model, train_vocabulary(sample, 420));
  const Tokenizer tokenizer = Tokenizer::from_bytes(model, "m");
  EXPECT_EQ(tokenizer.vocab_size(), 420);
  EXPECT_EQ(tokenizer.bos_id(), 1);
  EXPECT_EQ(tokenizer.eos_id(), 2);
}

TEST(TrainVocabulary, KeepsQuiet) {
  ::testing::internal::CaptureStderr();
  train_vocabulary({sample_text(20000)}, 400);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(TrainVocabulary, SaysWhatSizesFitTheText) {
  EXPECT_NEXUS_ERROR(
      train_vocabulary({"too little text"}, 5000), ErrorKind::kConfig,
      AllOf(HasSubstr("cannot train a vocabulary of 5000 pieces"), HasSubstr("gives at most"), HasSubstr("--vocab")));
  EXPECT_NEXUS_ERROR(train_vocabulary({sample_text(20000)}, 100), ErrorKind::kConfig, HasSubstr("need at least"));
  EXPECT_NEXUS_ERROR(train_vocabulary({"\n\t\n"}, 300), ErrorKind::kConfig, HasSubstr("cannot train"));
}

TEST(VocabularySample, KeepsEverythingThatFits) {
  VocabularySample sample(100);
  for (const char* piece : {"one", "two", "three"}) sample.offer(piece);
  EXPECT_THAT(std::move(sample).finish(), ::testing::ElementsAre("one", "two", "three"));
}

TEST(VocabularySample, SpreadsEvenlyOverAStreamOfAnyLength) {
  for (const int pieces : {150, 1000, 12345}) {
    VocabularySample sample(1000);
    for (int i = 0; i < pieces; ++i) sample.offer(fmt::format("{:010}", i));
    const std::vector<std::string> kept = std::move(sample).finish();
    EXPECT_LE(kept.size(), 100u);
    EXPECT_GE(kept.size(), 95u);
    // Neighbours are at most three times the mean distance apart.
    for (size_t i = 1; i < kept.size(); ++i)
      EXPECT_LE(std::stoi(kept[i]) - std::stoi(kept[i - 1]), 3 * pieces / 95 + 1);
    EXPECT_LE(pieces - std::stoi(kept.back()), 3 * pieces / 95 + 1);
  }
}

TEST(VocabularySample, KeepsOnePieceHoweverLong) {
  VocabularySample sample(10);
  sample.offer(std::string(1000, 'x'));
  sample.offer("y");
  EXPECT_EQ(std::move(sample).finish().size(), 1u);
}

}  // namespace
}  // namespace nexus
