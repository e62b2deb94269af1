// The lines of a text as SentencePiece's trainer takes them.
#pragma once

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

}  // namespace nexus::testing
