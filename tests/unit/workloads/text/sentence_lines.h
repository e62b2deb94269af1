// The lines of a text as SentencePiece's trainer takes them.
#pragma once

#include <gtest/gtest.h>
#include <sentencepiece_trainer.h>

#include <sstream>
#include <string>

namespace nexus::testing {

class Lines : public sentencepiece::SentenceIterator {
 public:
  explicit Lines(const std::string& text) : stream_(text) { Next(); }
  bool done() const override { return done_; }
  void Next() override { done_ = !std::getline(stream_, line_); }
  const std::string& value() const override { return line_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  std::istringstream stream_;
  std::string line_;
  bool done_ = false;
};

// A unigram model of Latin text without byte pieces: other scripts are unknown to it.
inline std::string train_latin_model_without_bytes() {
  std::string text, model;
  for (int i = 0; i < 200; ++i) text += "plain words of a little text " + std::to_string(i) + "\n";
  Lines lines(text);
  const auto status = sentencepiece::SentencePieceTrainer::Train(
      {{"model_type", "unigram"}, {"vocab_size", "40"}, {"hard_vocab_limit", "false"}, {"minloglevel", "2"}}, &lines,
      &model);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return model;
}

}  // namespace nexus::testing
