// How fast one core encodes: tokenizer_speed TOKENIZER TEXT [ROUNDS]. In pieces, as `nexus data build` hands them over
// (document_reader.h); the first 64 MiB of a text that may be packed. Prints MB/s of each round.
#include <fmt/format.h>

#include <chrono>
#include <string>

#include "workloads/text/document_reader.h"
#include "workloads/text/tokenizer.h"

int main(int count, char** arguments) {
  using namespace nexus;
  if (count < 3) {
    fmt::print(stderr, "usage: tokenizer_speed TOKENIZER TEXT [ROUNDS]\n");
    return 2;
  }
  constexpr size_t kMostBytes = 64 << 20;
  const Tokenizer tokenizer{std::string(arguments[1])};
  std::vector<TextPiece> pieces;
  size_t bytes = 0;
  DocumentReader reader({arguments[2]}, DocumentMode::kFile);
  while (std::optional<TextPiece> piece = reader.next()) {
    bytes += piece->text.size();
    pieces.push_back(std::move(*piece));
    if (bytes >= kMostBytes) break;
  }
  for (int round = 0; round < (count > 3 ? std::stoi(arguments[3]) : 3); ++round) {
    const auto start = std::chrono::steady_clock::now();
    size_t tokens = 0;
    for (const TextPiece& piece : pieces)
      tokens +=
          (piece.begins_document ? tokenizer.encode(piece.text) : tokenizer.encode_continuation(piece.text)).size();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    fmt::print("{:.1f} MB/s | bytes {} | bytes_per_token {:.2f}\n", static_cast<double>(bytes) * 1e-6 / seconds, bytes,
               static_cast<double>(bytes) / static_cast<double>(tokens));
  }
  return 0;
}
