#include "workloads/text/tokenizer_check.h"

#include <cmath>
#include <cstring>
#include <optional>

#include "core/error.h"

namespace nexus {
namespace {

constexpr size_t kMaxPieceBytes = 512;
constexpr int64_t kMaxPieces = 1 << 24;
constexpr uint64_t kByteType = 6;  // ModelProto.SentencePiece.Type.BYTE
constexpr uint64_t kBpeType = 2;   // TrainerSpec.ModelType.BPE

[[noreturn]] void refuse(const std::string& what, const std::string& name) {
  throw Error(ErrorKind::kData, "not a usable SentencePiece model: " + what, name,
              "fetch or train the tokenizer again");
}

// One field of a protocol buffer message: a number (`value`) or bytes.
struct Field {
  uint64_t number = 0;
  uint64_t value = 0;
  std::string_view bytes;
};

// Iterates over the fields of one message, without recursion.
class MessageReader {
 public:
  MessageReader(std::string_view message, const std::string& name) : rest_(message), name_(name) {}

  std::optional<Field> next() {
    if (rest_.empty()) return std::nullopt;
    const uint64_t tag = varint();
    Field field;
    field.number = tag >> 3;
    switch (tag & 7) {
      case 0: field.value = varint(); break;
      case 1: std::memcpy(&field.value, take(8).data(), 8); break;
      case 2: field.bytes = take(varint()); break;
      case 5: std::memcpy(&field.value, take(4).data(), 4); break;
      default: refuse("unknown wire type", name_);
    }
    return field;
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    refuse("over-long number", name_);
  }
  std::string_view take(uint64_t size) {
    if (size > rest_.size()) refuse("the file is truncated", name_);
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::string_view rest_;
  const std::string& name_;
};

bool is_byte_piece(std::string_view piece) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  return piece.size() == 6 && piece.starts_with("<0x") && piece.ends_with('>') &&
         digits.find(piece[3]) != digits.npos && digits.find(piece[4]) != digits.npos;
}

void check_piece(std::string_view message, const std::string& name) {
  MessageReader reader(message, name);
  std::string_view text;
  uint64_t type = 1;
  float score = 0;
  while (const std::optional<Field> field = reader.next()) {
    if (field->number == 1) text = field->bytes;
    if (field->number == 2) std::memcpy(&score, &field->value, sizeof score);
    if (field->number == 3) type = field->value;
  }
  if (text.empty()) refuse("an empty piece", name);
  if (text.size() > kMaxPieceBytes)
    refuse(fmt::format("a piece of {} bytes (at most {})", text.size(), kMaxPieceBytes), name);
  if (!std::isfinite(score)) refuse("a score that is not finite", name);
  if (type == kByteType && !is_byte_piece(text)) refuse("a byte piece that names no byte", name);
}

uint32_t word_at(std::string_view bytes, size_t index) {
  uint32_t word = 0;
  std::memcpy(&word, bytes.data() + 4 * index, 4);
  return word;
}

// The table of replacements: u32 size of the trie, the trie (a double array of u32 units), NUL-terminated strings. A
// step in the trie goes from unit i to unit i ^ offset ^ byte; a leaf of unit i lies at i ^ offset and holds a string's
// place.
void check_charsmap(std::string_view table, const std::string& name) {
  if (table.empty()) return;
  const auto broken = [&] { refuse("a damaged normalisation table", name); };
  if (table.size() < 4) broken();
  const size_t trie_bytes = word_at(table, 0);
  table.remove_prefix(4);
  if (trie_bytes >= table.size() || trie_bytes % 4 != 0 || trie_bytes == 0) broken();
  const std::string_view trie = table.substr(0, trie_bytes), strings = table.substr(trie_bytes);
  if (strings.back() != '\0') broken();
  const size_t units = trie_bytes / 4;
  for (size_t i = 0; i < units; ++i) {
    const uint32_t unit = word_at(trie, i);
    if (unit >> 31) continue;  // a leaf's value: matched by no byte, so never a place to go on from
    const size_t target = i ^ (static_cast<size_t>(unit >> 10) << ((unit & (1U << 9)) >> 6));
    if ((target | 0xFF) >= units) broken();
    const bool has_leaf = (unit >> 8) & 1;
    if (has_leaf && (word_at(trie, target) & 0x7FFFFFFF) >= strings.size()) broken();
  }
}

void check_normalizer(std::string_view message, const std::string& name, TokenizerOutline* outline) {
  MessageReader reader(message, name);
  while (const std::optional<Field> field = reader.next()) {
    if (field->number == 2) check_charsmap(field->bytes, name);
    if (outline != nullptr && field->number == 2) outline->replaces_characters = !field->bytes.empty();
    if (outline != nullptr && field->number == 3) outline->adds_dummy_prefix = field->value != 0;
    if (outline != nullptr && field->number == 4) outline->removes_extra_whitespace = field->value != 0;
  }
}

void read_trainer(std::string_view message, const std::string& name, TokenizerOutline& outline) {
  MessageReader reader(message, name);
  while (const std::optional<Field> field = reader.next()) {
    if (field->number == 3) outline.is_bpe = field->value == kBpeType;
    if (field->number == 45) outline.unknown = field->bytes;
    if (field->number == 46) outline.bos = field->bytes;
    if (field->number == 47) outline.eos = field->bytes;
  }
}

}  // namespace

TokenizerOutline check_tokenizer_model(std::string_view model, const std::string& name) {
  TokenizerOutline outline;
  MessageReader reader(model, name);
  while (const std::optional<Field> field = reader.next()) {
    if (field->number == 1) {
      check_piece(field->bytes, name);
      ++outline.pieces;
    }
    if (field->number == 2) read_trainer(field->bytes, name, outline);
    if (field->number == 3) check_normalizer(field->bytes, name, &outline);
    if (field->number == 5) check_normalizer(field->bytes, name, nullptr);  // used when decoding
  }
  if (outline.pieces == 0) refuse("it has no pieces", name);
  if (outline.pieces > kMaxPieces) refuse(fmt::format("{} pieces", outline.pieces), name);
  return outline;
}

}  // namespace nexus
