// Trains a byte-pair vocabulary with SentencePiece.
//
// The model keeps text as it is: no normalisation, no dummy prefix, spaces kept, unknown characters (and line ends) as
// byte pieces, digits one by one. Hence decode(encode(x)) == x for every UTF-8 text x without U+2581, the character
// that SentencePiece itself writes for a space. Ids: 0 unk, 1 BOS, 2 EOS, 3..258 bytes, then merges, then characters.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nexus {

// A bounded sample of a text stream, spread evenly over it; it depends on the pieces alone. While the stream is read
// every 2^k-th piece is held, where k grows with the stream: at most twice the sample's size.
class VocabularySample {
 public:
  explicit VocabularySample(int64_t sample_bytes) : sample_bytes_(sample_bytes) {}
  void offer(std::string_view piece);
  // At most sample_bytes (but always one piece); so the trainer's memory does not depend on the stream's length.
  std::vector<std::string> finish() &&;

 private:
  void thin_out();

  int64_t sample_bytes_, held_bytes_ = 0;
  uint64_t offered_ = 0, stride_ = 1;
  std::vector<std::string> pieces_;
};

// The serialised model. Single-threaded and free of randomness: the same sample gives the same bytes on every machine
// with the same SentencePiece. Errors: ErrorKind::kConfig where `vocab_size` does not fit the text.
std::string train_vocabulary(const std::vector<std::string>& sample, int64_t vocab_size);

}  // namespace nexus
