#include <bit>
#include <cstdio>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "workloads/text/token_file.h"

namespace nexus {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

// The sequences, kept in a nameless file beside the output: their number is not bounded, memory is.
struct TokenFileWriter::SequenceSpool {
  enum class Kind : uint8_t { kBegins, kContinues, kNone };  // a document, or one without sequences
  struct Entry {
    int32_t length = 0;
    int8_t mode = 0;
    Kind kind = Kind::kNone;
  };
  std::string path;
  std::FILE* file;
  explicit SequenceSpool(std::string spool_path) : path(std::move(spool_path)), file(std::fopen(path.c_str(), "w+b")) {
    if (file == nullptr) throw_errno("create", path);
    std::remove(path.c_str());
  }
  ~SequenceSpool() { std::fclose(file); }
  SequenceSpool(SequenceSpool&&) = delete;

  void add(const Entry& entry) {
    if (std::fwrite(&entry, sizeof entry, 1, file) != 1) throw_errno("write", path);
  }
  // Calls visit(entry) for every entry, in order.
  template <typename Visit>
  void for_each(Visit visit) {
    if (std::fflush(file) != 0 || std::fseek(file, 0, SEEK_SET) != 0) throw_errno("write", path);
    std::vector<Entry> block(1 << 13);
    while (const size_t got = std::fread(block.data(), sizeof(Entry), block.size(), file))
      for (size_t i = 0; i < got; ++i) visit(block[i]);
    if (std::ferror(file)) throw_errno("read", path);
  }
};

TokenFileWriter::TokenFileWriter(const std::string& prefix, TokenType type, bool modes, int64_t max_sequence_tokens)
    : type_(type),
      has_modes_(modes),
      max_sequence_tokens_(max_sequence_tokens),
      bin_(prefix + ".bin"),
      idx_(prefix + ".idx"),
      spool_(std::make_unique<SequenceSpool>(prefix + ".lengths.partial")) {
  NX_CHECK(max_sequence_tokens > 0 && max_sequence_tokens < std::numeric_limits<int32_t>::max());
}

TokenFileWriter::~TokenFileWriter() = default;

void TokenFileWriter::append(const int32_t* ids, int64_t count) {
  inside_sequence_ = true;
  look_at_ids(ids, count);
  while (count > 0) {
    if (sequence_tokens_ == max_sequence_tokens_) end_sequence();
    inside_sequence_ = true;
    const int64_t now = std::min(count, max_sequence_tokens_ - sequence_tokens_);
    with_token_type(type_, [&](auto zero) {
      using Id = decltype(zero);
      std::vector<Id> narrow(static_cast<size_t>(now));
      for (int64_t i = 0; i < now; ++i) {
        NX_CHECK(std::in_range<Id>(ids[i]), "id {} as {}", ids[i], token_type_name(type_));
        narrow[static_cast<size_t>(i)] = static_cast<Id>(ids[i]);
      }
      bin_.write(narrow.data(), narrow.size() * sizeof(Id));
    });
    tokens_ += now;
    sequence_tokens_ += now;
    ids += now;
    count -= now;
  }
}

void TokenFileWriter::look_at_ids(const int32_t* ids, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (ids[i] > largest_id_) {
      largest_id_ = ids[i];
      largest_at_ = tokens_ + i;
    }
}

void TokenFileWriter::end_sequence(int8_t mode) {
  using Kind = SequenceSpool::Kind;
  spool_->add({static_cast<int32_t>(sequence_tokens_), mode, inside_document_ ? Kind::kContinues : Kind::kBegins});
  ++sequences_;
  sequence_tokens_ = 0;
  inside_sequence_ = false;
  inside_document_ = true;
}

void TokenFileWriter::end_document() {
  if (inside_sequence_) end_sequence();
  if (!inside_document_) spool_->add({});
  ++documents_;
  inside_document_ = false;
}

void TokenFileWriter::finish() {
  using Entry = SequenceSpool::Entry;
  using Kind = SequenceSpool::Kind;
  NX_CHECK(!inside_sequence_ && !inside_document_);
  const auto put = [this](auto value) { idx_.write(&value, sizeof value); };
  const auto for_each_sequence = [this](auto visit) {
    spool_->for_each([&](const Entry& entry) {
      if (entry.kind != Kind::kNone) visit(entry);
    });
  };
  idx_.write("MMIDIDX\0\0", 9);
  put(uint64_t{1});
  put(static_cast<uint8_t>(type_));
  put(static_cast<uint64_t>(sequences_));
  put(static_cast<uint64_t>(documents_ + 1));
  for_each_sequence([&](const Entry& entry) { put(entry.length); });
  int64_t pointer = 0;
  for_each_sequence([&](const Entry& entry) {
    put(pointer);
    pointer += entry.length * token_bytes(type_);
  });
  int64_t sequence = 0;
  spool_->for_each([&](const Entry& entry) {
    if (entry.kind != Kind::kContinues) put(sequence);
    if (entry.kind != Kind::kNone) ++sequence;
  });
  put(sequence);
  if (has_modes_) for_each_sequence([&](const Entry& entry) { put(entry.mode); });
  bin_.commit();
  idx_.commit();
}

}  // namespace nexus
