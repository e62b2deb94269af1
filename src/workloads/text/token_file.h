// Megatron token files (indexed_dataset): PREFIX.bin holds the ids of all documents one after the other, PREFIX.idx
// says where they lie. Both are little-endian.
//
//   .idx: "MMIDIDX\0\0", u64 version 1, u8 type (4 int32, 8 uint16), u64 sequences, u64 boundaries,
//         i32 length[sequences] (tokens), i64 pointer[sequences] (byte offset in .bin),
//         i64 boundary[boundaries] (first sequence of each document, then the number of sequences),
//         i8 mode[sequences] (only in files that Megatron wrote as multimodal; 0 is text)
//
// Nexus writes one sequence per document (more where a document has over 2^30 tokens), BOS first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "data/durable_stream.h"
#include "data/input_file.h"

namespace nexus {

enum class TokenType : uint8_t { kInt32 = 4, kUint16 = 8 };  // Megatron's codes
inline int64_t token_bytes(TokenType type) {
  return type == TokenType::kUint16 ? 2 : 4;
}
inline const char* token_type_name(TokenType type) {
  return type == TokenType::kUint16 ? "uint16" : "int32";
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
  bool has_modes() const { return has_modes_; }  // read past: a sequence is its ids, whatever its mode
  // Digest of the index: of every length and document boundary. Text that was tokenized anew practically never has the
  // same.
  std::string index_digest() const;
  int64_t bin_bytes() const { return static_cast<int64_t>(bin_.bytes().size()); }
  const FileStamp& bin_stamp() const { return bin_.stamp(); }

  struct Document {
    int64_t first_token = 0;
    int64_t tokens = 0;
  };
  Document document(int64_t index) const;

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
};

// Throws ErrorKind::kData unless 0 <= id < vocab_size for ids[0, count); `first_token` is the place of ids[0] in the
// file.
void check_ids(const int32_t* ids, int64_t count, int64_t vocab_size, const std::string& prefix, int64_t first_token);
// The same for a whole file.
void check_ids(const TokenFile& file, int64_t vocab_size);

// Writes a token file in bounded memory. The files appear in `finish`, .idx last; without it nothing remains.
class TokenFileWriter {
 public:
  TokenFileWriter(const std::string& prefix, TokenType type, int64_t max_sequence_tokens = 1 << 30);
  ~TokenFileWriter();
  TokenFileWriter(TokenFileWriter&&) = delete;

  // Adds to the open document, or begins one.
  void append(const int32_t* ids, int64_t count);
  void end_document();
  void finish();

  int64_t tokens() const { return tokens_; }
  int64_t documents() const { return documents_; }
  // The largest id so far and the first token that has it; -1 where there is none.
  int64_t largest_id() const { return largest_id_; }
  int64_t largest_at() const { return largest_at_; }
  std::string bin_digest() const { return bin_.digest(); }
  std::string idx_digest() const { return idx_.digest(); }

 private:
  struct LengthSpool;
  void end_sequence();
  void look_at_ids(const int32_t* ids, int64_t count);

  TokenType type_;
  int64_t max_sequence_tokens_;
  DurableStream bin_, idx_;
  std::unique_ptr<LengthSpool> lengths_;
  int64_t tokens_ = 0, documents_ = 0, sequences_ = 0;
  int64_t sequence_tokens_ = 0;  // of the open sequence
  int64_t largest_id_ = -1, largest_at_ = 0;
  bool inside_document_ = false, continues_ = false;
};

}  // namespace nexus
