#include "workloads/text/vocabulary.h"

#include <sentencepiece_trainer.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "core/error.h"

namespace nexus {
namespace {

// The trainer's view of the sample: its lines. SentencePiece skips sentences with a tab (its internal separator), so
// tabs end a sentence too.
class SampleLines : public sentencepiece::SentenceIterator {
 public:
  explicit SampleLines(const std::vector<std::string>& pieces) : pieces_(pieces) { Next(); }
  bool done() const override { return done_; }
  const std::string& value() const override { return line_; }
  sentencepiece::util::Status status() const override { return {}; }

  void Next() override {
    for (; piece_ < pieces_.size(); ++piece_, position_ = 0) {
      const std::string& text = pieces_[piece_];
      const size_t begin = text.find_first_not_of("\n\t", position_);
      if (begin == std::string::npos) continue;
      const size_t end = std::min(text.find_first_of("\n\t", begin), text.size());
      line_.assign(text, begin, end - begin);
      position_ = end;
      return;
    }
    done_ = true;
  }

 private:
  const std::vector<std::string>& pieces_;
  size_t piece_ = 0, position_ = 0;
  std::string line_;
  bool done_ = false;
};

// "... Please set it to a value <= 35196." or "... smaller than required_chars. 280 vs 318. Increase ...": the number
// is what helps; the options that SentencePiece goes on to name are not those of nexus.
std::string limit_in(const std::string& message) {
  const auto number_after = [&](const char* words) {
    const size_t at = message.find(words);
    const size_t begin = at == std::string::npos ? at : message.find_first_of("0123456789", at);
    if (begin == std::string::npos) return std::string();
    return message.substr(begin, message.find_first_not_of("0123456789", begin) - begin);
  };
  if (const std::string most = number_after("value <= "); !most.empty())
    return fmt::format("this text gives at most {} pieces", most);
  if (const std::string least = number_after(" vs "); !least.empty())
    return fmt::format("the bytes and characters of this text need at least {} pieces", least);
  const size_t text = message.find("] ");
  return text == std::string::npos ? message : message.substr(text + 2);
}

}  // namespace

void VocabularySample::offer(std::string_view piece) {
  if (offered_++ % stride_ != 0) return;
  pieces_.emplace_back(piece);
  held_bytes_ += static_cast<int64_t>(piece.size());
  while (held_bytes_ > 2 * sample_bytes_ && pieces_.size() > 1) thin_out();
}

void VocabularySample::thin_out() {
  std::vector<std::string> kept;
  held_bytes_ = 0;
  for (size_t i = 0; i < pieces_.size(); i += 2) {
    held_bytes_ += static_cast<int64_t>(pieces_[i].size());
    kept.push_back(std::move(pieces_[i]));
  }
  pieces_ = std::move(kept);
  stride_ *= 2;
}

std::vector<std::string> VocabularySample::finish() && {
  if (held_bytes_ <= sample_bytes_) return std::move(pieces_);
  // A piece is kept when the bytes kept so far fall behind their share of the bytes seen.
  std::vector<std::string> kept;
  const double share = static_cast<double>(sample_bytes_) / static_cast<double>(held_bytes_);
  double seen_bytes = 0, kept_bytes = 0;
  for (std::string& piece : pieces_) {
    const auto size = static_cast<double>(piece.size());
    seen_bytes += size;
    if (!kept.empty() && kept_bytes + size > share * seen_bytes) continue;
    kept_bytes += size;
    kept.push_back(std::move(piece));
  }
  return kept;
}

std::string train_vocabulary(const std::vector<std::string>& sample, int64_t vocab_size) {
  const std::unordered_map<std::string, std::string> options = {
      {"model_type", "bpe"},
      {"vocab_size", std::to_string(vocab_size)},
      {"byte_fallback", "true"},
      // The rarest 0.05 % of the characters are left to the bytes, or they alone could fill a small vocabulary.
      {"character_coverage", "0.9995"},
      {"normalization_rule_name", "identity"},
      {"add_dummy_prefix", "false"},
      {"remove_extra_whitespaces", "false"},
      {"allow_whitespace_only_pieces", "true"},
      {"split_digits", "true"},
      {"max_sentence_length", "1048576"},  // lines are at most one piece long, and none shall be skipped
      {"shuffle_input_sentence", "false"},
      {"num_threads", "1"},
      {"minloglevel", "2"},  // errors only; they come back as a status anyway
  };
  SampleLines lines(sample);
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(options, &lines, &model);
  if (status.ok()) return model;
  throw Error(ErrorKind::kConfig, fmt::format("cannot train a vocabulary of {} pieces", vocab_size),
              limit_in(status.error_message()), "choose another --vocab, or give more text");
}

}  // namespace nexus
