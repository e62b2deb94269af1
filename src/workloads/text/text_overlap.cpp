#include "workloads/text/text_overlap.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/error.h"
#include "data/input_file.h"
#include "workloads/text/token_file_info.h"

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

// Stretches of `file` by their hash, and which have been met in another file. Several may belong to one owner, which is
// found where any of them is.
class Stretches {
 public:
  explicit Stretches(const TokenFile& file) : file_(file) {}
  void add(int64_t owner, int64_t first, int64_t tokens) {
    const uint64_t hash = hash_of(read_ids(file_, first, tokens));
    filter_[hash >> (64 - kFilterBits)] = true;
    by_hash_.emplace(hash, stretches_.size());
    if (owners_.empty() || owners_.back().owner != owner) owners_.push_back({owner, false});
    stretches_.push_back({first, tokens, owners_.size() - 1});
  }
  // `other` has `tokens` tokens of this hash from `first` on.
  void meet(uint64_t hash, const TokenFile& other, int64_t first, int64_t tokens) {
    if (!filter_[hash >> (64 - kFilterBits)]) return;
    const auto [begin, end] = by_hash_.equal_range(hash);
    for (auto it = begin; it != end; ++it) {
      const Stretch& own = stretches_[it->second];
      bool& found = owners_[own.owner_index].found;
      if (!found && own.tokens == tokens) found = read_ids(file_, own.first, tokens) == read_ids(other, first, tokens);
    }
  }
  int64_t count() const { return static_cast<int64_t>(owners_.size()); }
  int64_t found() const {
    return std::count_if(owners_.begin(), owners_.end(), [](const Owner& own) { return own.found; });
  }
  std::optional<int64_t> first_found() const {
    for (const Owner& own : owners_)
      if (own.found) return own.owner;
    return std::nullopt;
  }

 private:
  static constexpr int kFilterBits = 20;
  struct Stretch {
    int64_t first, tokens;
    size_t owner_index;
  };
  struct Owner {
    int64_t owner;
    bool found;
  };
  const TokenFile& file_;
  std::vector<bool> filter_ = std::vector<bool>(size_t{1} << kFilterBits);  // most hashes are not there
  std::unordered_multimap<uint64_t, size_t> by_hash_;
  std::vector<Stretch> stretches_;
  std::vector<Owner> owners_;
};

// What may be a mark (BOS, EOS) and no text: the first or last token, where all documents have the same one. Where
// there is one document, that says nothing, and both may be.
struct Marks {
  bool first = false, last = false;
};

Marks marks_of(const TokenFile& file) {
  std::optional<int32_t> first, last;
  Marks marks{true, true};
  for (int64_t d = 0; d < file.documents() && (marks.first || marks.last); ++d) {
    const TokenFile::Document document = file.document(d);
    if (document.tokens == 0) continue;
    const int32_t begin = read_ids(file, document.first_token, 1)[0];
    const int32_t end = read_ids(file, document.first_token + document.tokens - 1, 1)[0];
    marks.first = marks.first && begin == first.value_or(begin);
    marks.last = marks.last && end == last.value_or(end);
    first = begin;
    last = end;
  }
  return marks;
}

// Calls visit(skipped at the front, skipped at the end) for every way to see a document without marks.
template <typename Visit>
void for_each_view(const Marks& marks, Visit visit) {
  for (int front = 0; front <= (marks.first ? 1 : 0); ++front)
    for (int back = 0; back <= (marks.last ? 1 : 0); ++back) visit(front, back);
}

Stretches documents_of(const TokenFile& file, int64_t least_tokens) {
  const Marks marks = marks_of(file);
  Stretches documents(file);
  for (int64_t d = 0; d < file.documents(); ++d) {
    const TokenFile::Document document = file.document(d);
    if (document.tokens < least_tokens) continue;
    for_each_view(marks, [&](int front, int back) {
      if (document.tokens - front - back < 1) return;
      documents.add(d, document.first_token + front, document.tokens - front - back);
    });
  }
  return documents;
}

Stretches runs_of(const TokenFile& file) {
  Stretches runs(file);
  const int64_t count = std::min(TextOverlap::kMaxRuns, file.tokens() / TextOverlap::kRunTokens);
  for (int64_t i = 0; i < count; ++i)
    runs.add(i, i * (file.tokens() - TextOverlap::kRunTokens) / std::max<int64_t>(count - 1, 1),
             TextOverlap::kRunTokens);
  return runs;
}

// The hash of a document as it comes, also without its first or last token.
class DocumentHash {
 public:
  void add(int32_t id) {
    if (tokens_ == 0) first_ = id;
    if (tokens_ > 0) weight_ *= kBase;
    before_last_ = hash_;
    weight_before_ = tokens_ > 1 ? weight_before_ * kBase : 1;
    hash_ = next_hash(hash_, id);
    ++tokens_;
  }
  int64_t tokens() const { return tokens_; }
  uint64_t hash(int front, int back) const {
    const uint64_t first = static_cast<uint32_t>(first_) + uint64_t{1};
    return (back == 0 ? hash_ : before_last_) - (front == 0 ? 0 : first * (back == 0 ? weight_ : weight_before_));
  }

 private:
  uint64_t hash_ = 0, before_last_ = 0;
  uint64_t weight_ = 1, weight_before_ = 1;  // of the first token in the two
  int32_t first_ = 0;
  int64_t tokens_ = 0;
};

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

bool hold_same_tokens(const TokenFile& a, const TokenFile& b) {
  constexpr int64_t kBlock = 1 << 16;
  if (a.tokens() != b.tokens()) return false;
  for (int64_t first = 0; first < a.tokens(); first += kBlock) {
    const int64_t count = std::min(kBlock, a.tokens() - first);
    if (read_ids(a, first, count) != read_ids(b, first, count)) return false;
  }
  return true;
}

std::string same_text_reason(const std::string& prefix, const std::string& other_prefix) {
  std::error_code ignored;
  if (std::filesystem::equivalent(prefix + ".bin", other_prefix + ".bin", ignored)) return "is the same file";
  // The ids count: how wide they are and where documents end can differ over the same text.
  const int64_t bytes = InputFile(prefix + ".bin").size_bytes(), other = InputFile(other_prefix + ".bin").size_bytes();
  if (bytes == other || bytes == 2 * other || other == 2 * bytes) {
    const TokenFile a(prefix), b(other_prefix);
    if (hold_same_tokens(a, b)) {
      const bool same_index = a.index_digest() == b.index_digest();
      if (same_index) return "has the same content";
      if (a.tokens() > 0) return "has the same tokens, under another index,";
    }
  }
  const std::string source = shared_source(prefix, other_prefix);
  return source.empty() ? "" : fmt::format("was built from {} too, but divided otherwise", source);
}

TextOverlap find_text_overlap(const TokenFile& file, const TokenFile& other, int64_t least_document_tokens) {
  Stretches documents = documents_of(file, least_document_tokens), runs = runs_of(file);
  constexpr size_t kRun = TextOverlap::kRunTokens;
  uint64_t leaving = 1;  // kBase to the power of kRun: the weight of the id that leaves a run
  for (size_t i = 0; i < kRun; ++i) leaving *= kBase;
  std::array<int32_t, kRun> recent{};
  const Marks marks = marks_of(other);
  DocumentHash document;
  uint64_t run_hash = 0;
  int64_t position = 0;
  for_each_token(other, [&](int32_t id, bool ends_document) {
    int32_t& slot = recent[static_cast<size_t>(position) % kRun];
    const uint64_t left =
        position < TextOverlap::kRunTokens ? 0 : (static_cast<uint32_t>(slot) + uint64_t{1}) * leaving;
    run_hash = next_hash(run_hash, id) - left;
    slot = id;
    document.add(id);
    ++position;
    if (position >= TextOverlap::kRunTokens)
      runs.meet(run_hash, other, position - TextOverlap::kRunTokens, TextOverlap::kRunTokens);
    if (!ends_document) return;
    for_each_view(marks, [&](int front, int back) {
      if (const int64_t tokens = document.tokens() - front - back; tokens > 0)
        documents.meet(document.hash(front, back), other, position - document.tokens() + front, tokens);
    });
    document = {};
  });
  TextOverlap overlap;
  overlap.documents = documents.count();
  overlap.documents_found = documents.found();
  overlap.first_found = documents.first_found().value_or(-1);
  overlap.runs = runs.count();
  overlap.runs_found = runs.found();
  return overlap;
}

}  // namespace nexus
