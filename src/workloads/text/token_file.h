// Megatron token files (indexed_dataset): PREFIX.bin holds the ids of all documents one after the other, PREFIX.idx
// says where they lie. Both are little-endian.
//
//   .idx: "MMIDIDX\0\0", u64 version 1, u8 type (TokenType), u64 sequences, u64 boundaries,
//         i32 length[sequences] (tokens), i64 pointer[sequences] (byte offset in .bin),
//         i64 boundary[boundaries] (first sequence of each document, then the number of sequences),
//         i8 mode[sequences] (only in files that Megatron wrote as multimodal; 0 is text)
//
// `nexus data build` writes one sequence per document (more where a document has over 2^30 tokens), BOS first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "data/durable_stream.h"
#include "data/input_file.h"

namespace nexus {

// Megatron's codes. Its others, 6 and 7, are f64 and f32: no ids.
enum class TokenType : uint8_t { kUint8 = 1, kInt8 = 2, kInt16 = 3, kInt32 = 4, kInt64 = 5, kUint16 = 8 };

// visit(Id{}) for the type of the ids.
template <typename Visit>
decltype(auto) with_token_type(TokenType type, Visit visit) {
  switch (type) {
    case TokenType::kUint8: return visit(uint8_t{});
    case TokenType::kInt8: return visit(int8_t{});
    case TokenType::kInt16: return visit(int16_t{});
    case TokenType::kInt64: return visit(int64_t{});
    case TokenType::kUint16: return visit(uint16_t{});
    default: return visit(int32_t{});
  }
}
inline int64_t token_bytes(TokenType type) {
  return with_token_type(type, [](auto id) { return static_cast<int64_t>(sizeof(id)); });
}
const char* token_type_name(TokenType type);  // "uint16"
std::optional<TokenType> parse_token_type(std::string_view name);

// An id of any type as int32: what lies beyond becomes the nearest one, which is in no vocabulary.
template <typename Id>
constexpr int32_t narrow_id(Id id) {
  if constexpr (sizeof(Id) > sizeof(int32_t))
    return static_cast<int32_t>(id < INT32_MIN ? INT32_MIN : id > INT32_MAX ? INT32_MAX : id);
  return static_cast<int32_t>(id);
}
// Megatron's rule: uint16 below 65500 ids.
inline TokenType token_type_for(int64_t vocab_size) {
  return vocab_size < 65500 ? TokenType::kUint16 : TokenType::kInt32;
}

// A token file, mapped. Every count, length and offset is checked when it is opened (about a second per 50 million
// documents), so that nothing is read outside the files later. Errors: ErrorKind::kData. Thread-safe.
class TokenFile {
 public:
  explicit TokenFile(const std::string& prefix);

  const std::string& prefix() const { return prefix_; }
  TokenType type() const { return type_; }
  int64_t tokens() const { return tokens_; }
  int64_t documents() const { return boundaries_ - 1; }
  int64_t sequences() const { return sequences_; }
  bool has_modes() const { return has_modes_; }  // training reads past them: a sequence is its ids, whatever its mode
  // Digest of the index: of every length and document boundary. Text that was tokenized anew practically never has the
  // same.
  std::string index_digest() const;
  int64_t bin_bytes() const { return static_cast<int64_t>(bin_.bytes().size()); }
  const FileStamp& bin_stamp() const { return bin_.stamp(); }

  struct Document {
    int64_t first_token = 0;
    int64_t tokens = 0;
    int64_t first_sequence = 0, sequences = 0;
  };
  Document document(int64_t index) const;
  struct Sequence {
    int64_t first_token = 0;
    int64_t tokens = 0;
    int8_t mode = 0;
  };
  Sequence sequence(int64_t index) const;

  // ids of tokens [first, first + count) of the whole file.
  void read(int64_t first, int64_t count, int32_t* ids) const;

 private:
  void check_index();
  int64_t first_token_of(int64_t sequence) const;
  int64_t boundary(int64_t index) const;

  std::string prefix_;
  MappedFile idx_, bin_;
  TokenType type_ = TokenType::kUint16;
  int64_t tokens_ = 0, sequences_ = 0, boundaries_ = 0;
  bool has_modes_ = false;
  const char* lengths_ = nullptr;
  const char* pointers_ = nullptr;
  const char* document_starts_ = nullptr;
  const char* modes_ = nullptr;
};

// Throws ErrorKind::kData unless 0 <= id < vocab_size for ids[0, count); `first_token` is the place of ids[0] in the
// file.
void check_ids(const int32_t* ids, int64_t count, int64_t vocab_size, const std::string& prefix, int64_t first_token);
// The same for a whole file.
void check_ids(const TokenFile& file, int64_t vocab_size);

// Writes a token file in bounded memory. The files appear in `finish`, .idx last; without it nothing remains.
class TokenFileWriter {
 public:
  TokenFileWriter(const std::string& prefix, TokenType type, bool modes = false, int64_t max_sequence_tokens = 1 << 30);
  ~TokenFileWriter();
  TokenFileWriter(TokenFileWriter&&) = delete;

  // Adds to the open sequence, or begins one in the open document, or in a new one. The ids must fit the type.
  void append(const int32_t* ids, int64_t count);
  void end_sequence(int8_t mode = 0);  // the mode is written where there are `modes`; without `append` it is empty
  void end_document();                 // and the open sequence
  void finish();

  int64_t tokens() const { return tokens_; }
  int64_t documents() const { return documents_; }
  // The largest id so far and the first token that has it; -1 where there is none.
  int64_t largest_id() const { return largest_id_; }
  int64_t largest_at() const { return largest_at_; }
  std::string bin_digest() const { return bin_.digest(); }
  std::string idx_digest() const { return idx_.digest(); }

 private:
  struct SequenceSpool;
  void look_at_ids(const int32_t* ids, int64_t count);

  TokenType type_;
  bool has_modes_;
  int64_t max_sequence_tokens_;
  DurableStream bin_, idx_;
  std::unique_ptr<SequenceSpool> spool_;
  int64_t tokens_ = 0, documents_ = 0, sequences_ = 0;
  int64_t sequence_tokens_ = 0;  // of the open sequence
  int64_t largest_id_ = -1, largest_at_ = 0;
  bool inside_sequence_ = false, inside_document_ = false;
};

}  // namespace nexus
