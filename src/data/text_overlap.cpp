#include "data/text_overlap.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/error.h"
#include "data/input_file.h"
#include "data/token_file_info.h"

namespace nexus {
namespace {

// Polynomial in the ids, modulo 2^64; what it finds is compared id by id.
constexpr uint64_t kBase = 0x9E3779B97F4A7C15;
constexpr uint64_t next_hash(uint64_t hash, int32_t id) {
  return hash * kBase + static_cast<uint32_t>(id) + 1;
}

// Calls visit(id, ends_document) for every token, in order. Documents without tokens are passed over.
template <typename Visit>
void for_each_token(const TokenFile& file, Visit visit) {
  std::vector<int32_t> ids(1 << 16);
  for (int64_t d = 0; d < file.documents(); ++d) {
    const TokenFile::Document document = file.document(d);
    for (int64_t done = 0; done < document.tokens;) {
      const int64_t count = std::min<int64_t>(document.tokens - done, static_cast<int64_t>(ids.size()));
      file.read(document.first_token + done, count, ids.data());
      done += count;
      for (int64_t i = 0; i < count; ++i) visit(ids[static_cast<size_t>(i)], done == document.tokens && i + 1 == count);
    }
  }
}

std::vector<int32_t> read_ids(const TokenFile& file, int64_t first, int64_t count) {
  std::vector<int32_t> ids(static_cast<size_t>(count));
  file.read(first, count, ids.data());
  return ids;
}

uint64_t hash_of(const std::vector<int32_t>& ids) {
  uint64_t hash = 0;
  for (const int32_t id : ids) hash = next_hash(hash, id);
  return hash;
}

// Stretches of `file` by their hash, and which of them have been met in another file.
class Stretches {
 public:
  explicit Stretches(const TokenFile& file) : file_(file) {}
  void add(int64_t first, int64_t tokens) {
    const uint64_t hash = hash_of(read_ids(file_, first, tokens));
    filter_[hash >> (64 - kFilterBits)] = true;
    by_hash_.emplace(hash, stretches_.size());
    stretches_.push_back({first, tokens, false});
  }
  // `other` has `tokens` tokens of this hash from `first` on.
  void meet(uint64_t hash, const TokenFile& other, int64_t first, int64_t tokens) {
    if (!filter_[hash >> (64 - kFilterBits)]) return;
    const auto [begin, end] = by_hash_.equal_range(hash);
    for (auto it = begin; it != end; ++it) {
      Stretch& own = stretches_[it->second];
      if (!own.found && own.tokens == tokens)
        own.found = read_ids(file_, own.first, tokens) == read_ids(other, first, tokens);
    }
  }
  int64_t count() const { return static_cast<int64_t>(stretches_.size()); }
  int64_t found() const {
    return std::count_if(stretches_.begin(), stretches_.end(), [](const Stretch& own) { return own.found; });
  }
  // The place of the first token of the first one that was met.
  std::optional<int64_t> first_found() const {
    for (const Stretch& own : stretches_)
      if (own.found) return own.first;
    return std::nullopt;
  }

 private:
  static constexpr int kFilterBits = 20;
  struct Stretch {
    int64_t first, tokens;
    bool found;
  };
  const TokenFile& file_;
  std::vector<bool> filter_ = std::vector<bool>(size_t{1} << kFilterBits);  // most hashes are not there
  std::unordered_multimap<uint64_t, size_t> by_hash_;
  std::vector<Stretch> stretches_;
};

Stretches documents_of(const TokenFile& file) {
  Stretches documents(file);
  for (int64_t d = 0; d < file.documents(); ++d) {
    const TokenFile::Document document = file.document(d);
    if (document.tokens >= TextOverlap::kLeastDocumentTokens) documents.add(document.first_token, document.tokens);
  }
  return documents;
}

Stretches runs_of(const TokenFile& file) {
  Stretches runs(file);
  const int64_t count = std::min(TextOverlap::kMaxRuns, file.tokens() / TextOverlap::kRunTokens);
  for (int64_t i = 0; i < count; ++i)
    runs.add(i * (file.tokens() - TextOverlap::kRunTokens) / std::max<int64_t>(count - 1, 1), TextOverlap::kRunTokens);
  return runs;
}

// The name of a text that both were built from, by builds that held out other parts of it.
std::string shared_source(const std::string& prefix, const std::string& other_prefix) {
  const std::optional<TokenFileInfo> info = read_token_file_info(prefix), other = read_token_file_info(other_prefix);
  if (!info || !other || info->build_digest == other->build_digest) return "";
  const auto same = [](const TextFileRef& a, const TextFileRef& b) { return a.digest == b.digest; };
  // The same texts, cut into the same documents and divided by the same share, are divided at the same places.
  if (info->document_mode == other->document_mode && info->valid_share == other->valid_share &&
      std::equal(info->sources.begin(), info->sources.end(), other->sources.begin(), other->sources.end(), same))
    return "";
  for (const TextFileRef& a : info->sources)
    for (const TextFileRef& b : other->sources)
      if (a.size_bytes > 0 && same(a, b)) return a.path;
  return "";
}

}  // namespace

std::string same_text_reason(const std::string& prefix, const std::string& other_prefix) {
  std::error_code ignored;
  if (std::filesystem::equivalent(prefix + ".bin", other_prefix + ".bin", ignored)) return "is the same file";
  const MappedFile idx(prefix + ".idx"), other_idx(other_prefix + ".idx");
  if (idx.bytes() == other_idx.bytes() &&
      MappedFile(prefix + ".bin").bytes() == MappedFile(other_prefix + ".bin").bytes())
    return "has the same content";
  const std::string source = shared_source(prefix, other_prefix);
  return source.empty() ? "" : fmt::format("was built from {} too, but divided otherwise", source);
}

TextOverlap find_text_overlap(const TokenFile& file, const TokenFile& other) {
  Stretches documents = documents_of(file), runs = runs_of(file);
  constexpr size_t kRun = TextOverlap::kRunTokens;
  uint64_t leaving = 1;  // kBase to the power of kRun: the weight of the id that leaves a run
  for (size_t i = 0; i < kRun; ++i) leaving *= kBase;
  std::array<int32_t, kRun> recent{};
  uint64_t document_hash = 0, run_hash = 0;
  int64_t position = 0, document_tokens = 0;
  for_each_token(other, [&](int32_t id, bool ends_document) {
    int32_t& slot = recent[static_cast<size_t>(position) % kRun];
    const uint64_t left =
        position < TextOverlap::kRunTokens ? 0 : (static_cast<uint32_t>(slot) + uint64_t{1}) * leaving;
    run_hash = next_hash(run_hash, id) - left;
    slot = id;
    document_hash = next_hash(document_hash, id);
    ++position;
    ++document_tokens;
    if (position >= TextOverlap::kRunTokens)
      runs.meet(run_hash, other, position - TextOverlap::kRunTokens, TextOverlap::kRunTokens);
    if (!ends_document) return;
    documents.meet(document_hash, other, position - document_tokens, document_tokens);
    document_hash = 0;
    document_tokens = 0;
  });
  TextOverlap overlap;
  overlap.documents = documents.count();
  overlap.documents_found = documents.found();
  overlap.runs = runs.count();
  overlap.runs_found = runs.found();
  if (const std::optional<int64_t> token = documents.first_found())
    for (int64_t d = 0; d < file.documents() && overlap.first_found < 0; ++d)
      if (file.document(d).first_token == *token && file.document(d).tokens > 0) overlap.first_found = d;
  return overlap;
}

}  // namespace nexus
