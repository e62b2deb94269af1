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

// The lengths of the sequences, kept in a nameless file beside the output: their number is not bounded, memory is. A
// negative value -n - 1 is a sequence of n tokens that continues the document of the one before it.
struct TokenFileWriter::LengthSpool {
  std::string path;
  std::FILE* file;
  explicit LengthSpool(std::string spool_path) : path(std::move(spool_path)), file(std::fopen(path.c_str(), "w+b")) {
    if (file == nullptr) throw_errno("create", path);
    std::remove(path.c_str());
  }
  ~LengthSpool() { std::fclose(file); }
  LengthSpool(LengthSpool&&) = delete;

  void add(int32_t length) {
    if (std::fwrite(&length, sizeof length, 1, file) != 1) throw_errno("write", path);
  }
  // Calls visit(length, continues) for every sequence, in order.
  template <typename Visit>
  void for_each(Visit visit) {
    if (std::fflush(file) != 0 || std::fseek(file, 0, SEEK_SET) != 0) throw_errno("write", path);
    std::vector<int32_t> block(1 << 14);
    while (const size_t got = std::fread(block.data(), sizeof(int32_t), block.size(), file))
      for (size_t i = 0; i < got; ++i) visit(block[i] < 0 ? -(block[i] + 1) : block[i], block[i] < 0);
    if (std::ferror(file)) throw_errno("read", path);
  }
};

TokenFileWriter::TokenFileWriter(const std::string& prefix, TokenType type, int64_t max_sequence_tokens)
    : type_(type),
      max_sequence_tokens_(max_sequence_tokens),
      bin_(prefix + ".bin"),
      idx_(prefix + ".idx"),
      lengths_(std::make_unique<LengthSpool>(prefix + ".lengths.partial")) {
  NX_CHECK(max_sequence_tokens > 0 && max_sequence_tokens < std::numeric_limits<int32_t>::max());
}

TokenFileWriter::~TokenFileWriter() = default;

void TokenFileWriter::append(const int32_t* ids, int64_t count) {
  inside_document_ = true;
  look_at_ids(ids, count);
  while (count > 0) {
    if (sequence_tokens_ == max_sequence_tokens_) {
      end_sequence();
      continues_ = true;
    }
    const int64_t now = std::min(count, max_sequence_tokens_ - sequence_tokens_);
    if (type_ == TokenType::kInt32) {
      bin_.write(ids, static_cast<size_t>(now) * sizeof(int32_t));
    } else {
      std::vector<uint16_t> narrow(static_cast<size_t>(now));
      for (int64_t i = 0; i < now; ++i) {
        NX_CHECK(ids[i] >= 0 && ids[i] <= std::numeric_limits<uint16_t>::max(), "id {}", ids[i]);
        narrow[static_cast<size_t>(i)] = static_cast<uint16_t>(ids[i]);
      }
      bin_.write(narrow.data(), narrow.size() * sizeof(uint16_t));
    }
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

void TokenFileWriter::end_sequence() {
  const auto length = static_cast<int32_t>(sequence_tokens_);
  lengths_->add(continues_ ? -length - 1 : length);
  ++sequences_;
  sequence_tokens_ = 0;
}

void TokenFileWriter::end_document() {
  NX_CHECK(inside_document_);
  end_sequence();
  ++documents_;
  inside_document_ = continues_ = false;
}

void TokenFileWriter::finish() {
  NX_CHECK(!inside_document_);
  const auto put = [this](auto value) { idx_.write(&value, sizeof value); };
  idx_.write("MMIDIDX\0\0", 9);
  put(uint64_t{1});
  put(static_cast<uint8_t>(type_));
  put(static_cast<uint64_t>(sequences_));
  put(static_cast<uint64_t>(documents_ + 1));
  lengths_->for_each([&](int32_t length, bool) { put(length); });
  int64_t pointer = 0;
  lengths_->for_each([&](int32_t length, bool) {
    put(pointer);
    pointer += length * token_bytes(type_);
  });
  int64_t sequence = 0;
  lengths_->for_each([&](int32_t, bool continues) {
    if (!continues) put(sequence);
    ++sequence;
  });
  put(sequence);
  bin_.commit();
  idx_.commit();
}

}  // namespace nexus
