#include "workloads/text/token_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/hash.h"

namespace nexus {
namespace {

using namespace std::string_view_literals;
constexpr std::string_view kMagic = "MMIDIDX\0\0"sv;
constexpr size_t kHeaderBytes = 9 + 8 + 1 + 8 + 8;

// The arrays begin at byte 34, so they are not aligned.
template <typename T>
T load(const char* from, int64_t index = 0) {
  T value;
  std::memcpy(&value, from + static_cast<size_t>(index) * sizeof(T), sizeof(T));
  return value;
}

constexpr std::array<std::pair<TokenType, const char*>, 6> kTokenTypes = {{{TokenType::kUint8, "uint8"},
                                                                           {TokenType::kInt8, "int8"},
                                                                           {TokenType::kInt16, "int16"},
                                                                           {TokenType::kInt32, "int32"},
                                                                           {TokenType::kInt64, "int64"},
                                                                           {TokenType::kUint16, "uint16"}}};

[[noreturn]] void damaged(const std::string& what, const std::string& path) {
  throw Error(ErrorKind::kData, "damaged token file: " + what, path, "build it again with 'nexus data build'");
}

}  // namespace

const char* token_type_name(TokenType type) {
  for (const auto& [known, name] : kTokenTypes)
    if (known == type) return name;
  NX_CHECK(false, "token type {}", static_cast<int>(type));
}

std::optional<TokenType> parse_token_type(std::string_view name) {
  for (const auto& [type, known] : kTokenTypes)
    if (known == name) return type;
  return std::nullopt;
}

TokenFile::TokenFile(const std::string& prefix) : prefix_(prefix), idx_(prefix + ".idx"), bin_(prefix + ".bin") {
  const std::string path = prefix + ".idx";
  const std::string_view bytes = idx_.bytes();
  if (!bytes.starts_with(kMagic))
    throw Error(ErrorKind::kData, "not a Megatron index (it does not begin with MMIDIDX)", path,
                "name the prefix of a file made by 'nexus data build' or by Megatron");
  if (bytes.size() < kHeaderBytes) damaged("the header is truncated", path);
  const auto version = load<uint64_t>(bytes.data() + 9);
  if (version != 1) damaged(fmt::format("version {} instead of 1", version), path);
  type_ = static_cast<TokenType>(bytes[17]);
  if (std::ranges::find(kTokenTypes, type_, [](const auto& known) { return known.first; }) == kTokenTypes.end())
    throw Error(ErrorKind::kData,
                fmt::format("token type {} is {}", static_cast<int>(bytes[17]),
                            bytes[17] == 6 || bytes[17] == 7 ? "one of fractions, not of ids" : "not known"),
                path, "write the ids as int32 (4) or uint16 (8)");
  const auto sequences = load<uint64_t>(bytes.data() + 18), boundaries = load<uint64_t>(bytes.data() + 26);
  const size_t room = bytes.size() - kHeaderBytes;
  // The first two conditions keep the sums from overflowing.
  const bool in_room = sequences <= room / 12 && boundaries <= room / 8;
  const uint64_t described = in_room ? sequences * 12 + boundaries * 8 : 0;
  has_modes_ = in_room && sequences > 0 && described + sequences == room;
  if (!in_room || (described != room && !has_modes_))
    damaged(
        fmt::format("{} bytes do not fit {} sequences and {} document borders", bytes.size(), sequences, boundaries),
        path);
  sequences_ = static_cast<int64_t>(sequences);
  boundaries_ = static_cast<int64_t>(boundaries);
  lengths_ = bytes.data() + kHeaderBytes;
  pointers_ = lengths_ + sequences * 4;
  document_starts_ = pointers_ + sequences * 8;
  modes_ = has_modes_ ? document_starts_ + boundaries * 8 : nullptr;
  check_index();
}

void TokenFile::check_index() {
  const std::string path = prefix_ + ".idx";
  const int64_t size = token_bytes(type_);
  for (int64_t i = 0; i < sequences_; ++i) {
    const auto length = load<int32_t>(lengths_, i);
    if (length < 0) damaged(fmt::format("sequence {} has {} tokens", i, length), path);
    if (load<int64_t>(pointers_, i) != tokens_ * size)
      damaged(fmt::format("sequence {} does not begin where the one before it ends", i), path);
    tokens_ += length;
    if (tokens_ > bin_bytes() / size)  // here: sums beyond the file could overflow
      damaged(fmt::format("{} bytes, but the index describes {} or more", bin_bytes(), tokens_ * size),
              prefix_ + ".bin");
  }
  if (tokens_ * size != bin_bytes())
    damaged(fmt::format("{} bytes, but the index describes {}", bin_bytes(), tokens_ * size), prefix_ + ".bin");
  if (boundaries_ < 1 || boundary(0) != 0 || boundary(boundaries_ - 1) != sequences_)
    damaged("the document borders do not span the file", path);
  for (int64_t i = 1; i < boundaries_; ++i)
    if (boundary(i) < boundary(i - 1)) damaged(fmt::format("document border {} lies before the last", i), path);
}

int64_t TokenFile::boundary(int64_t index) const {
  return load<int64_t>(document_starts_, index);
}

int64_t TokenFile::first_token_of(int64_t sequence) const {
  return sequence == sequences_ ? tokens_ : load<int64_t>(pointers_, sequence) / token_bytes(type_);
}

std::string TokenFile::index_digest() const {
  return hash_bytes(idx_.bytes().data(), idx_.bytes().size());
}

TokenFile::Document TokenFile::document(int64_t index) const {
  NX_CHECK(index >= 0 && index < documents(), "document {} of {}", index, documents());
  const int64_t begin = boundary(index), end = boundary(index + 1), first = first_token_of(begin);
  return {first, first_token_of(end) - first, begin, end - begin};
}

TokenFile::Sequence TokenFile::sequence(int64_t index) const {
  NX_CHECK(index >= 0 && index < sequences_, "sequence {} of {}", index, sequences_);
  return {first_token_of(index), load<int32_t>(lengths_, index), has_modes_ ? load<int8_t>(modes_, index) : int8_t{0}};
}

void TokenFile::read(int64_t first, int64_t count, int32_t* ids) const {
  NX_CHECK(first >= 0 && count >= 0 && first <= tokens_ - count, "tokens [{}, +{}) of {}", first, count, tokens_);
  const char* from = bin_.bytes().data() + first * token_bytes(type_);
  with_token_type(type_, [&](auto id) {
    for (int64_t i = 0; i < count; ++i) ids[i] = narrow_id(load<decltype(id)>(from, i));
  });
}

void check_ids(const int32_t* ids, int64_t count, int64_t vocab_size, const std::string& prefix, int64_t first_token) {
  for (int64_t i = 0; i < count; ++i)
    if (ids[i] < 0 || ids[i] >= vocab_size)
      throw Error(ErrorKind::kData,
                  fmt::format("token {} has id {}, outside the vocabulary of {}", first_token + i, ids[i], vocab_size),
                  prefix + ".bin", "use the vocabulary of the tokenizer that made the file");
}

void check_ids(const TokenFile& file, int64_t vocab_size) {
  constexpr int64_t kBlockTokens = 1 << 16;
  std::vector<int32_t> ids(kBlockTokens);
  for (int64_t first = 0; first < file.tokens(); first += kBlockTokens) {
    const int64_t count = std::min(kBlockTokens, file.tokens() - first);
    file.read(first, count, ids.data());
    check_ids(ids.data(), count, vocab_size, file.prefix(), first);
  }
}

}  // namespace nexus
