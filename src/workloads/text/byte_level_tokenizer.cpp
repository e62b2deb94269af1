#include "workloads/text/byte_level_tokenizer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "core/error.h"
#include "workloads/text/split_pattern.h"
#include "workloads/text/tokenizer_json.h"
#include "workloads/text/utf8_text.h"
#include "workloads/text/word_merges.h"

namespace nexus {
namespace {

constexpr const char* kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// The ids of words that came before: nine of ten words of a text did. A word has one place, the last one there stays.
class WordCache {
 public:
  struct Entry {
    static constexpr size_t kBytes = 24, kIds = 8;
    std::array<char, kBytes> word{};  // the rest is zero
    uint8_t bytes = 0, ids = 0;
    std::array<int32_t, kIds> id;
  };

  // The place of a word of at most Entry::kBytes.
  Entry& place_of(std::string_view word, std::array<char, Entry::kBytes>& padded) {
    padded.fill(0);
    std::memcpy(padded.data(), word.data(), word.size());
    uint64_t hash = word.size();
    for (size_t i = 0; i < Entry::kBytes; i += 8) {
      uint64_t part = 0;
      std::memcpy(&part, padded.data() + i, 8);
      hash = (hash ^ part) * 0x9E3779B97F4A7C15ULL;
      hash ^= hash >> 29;
    }
    return entries_[hash & (kEntries - 1)];
  }

 private:
  static constexpr size_t kEntries = 1 << 15;
  std::vector<Entry> entries_{kEntries};
};

// What one encoding at a time needs.
struct EncoderRoom {
  MatchRoom match;
  WordCache cache;
  WordMerges::Room merges;
  std::vector<int32_t> word;
};

class ByteLevelTokenizer : public TokenizerModel {
 public:
  ByteLevelTokenizer(TokenizerJson json, const std::string& name)
      : merges_(json.merges.size()), json_(std::move(json)) {
    facts_ = {.vocab_size = json_.vocab_size,
              .bos_id = json_.bos_id,
              .eos_id = json_.eos_id,
              .unknown_id = json_.unknown_id,
              .keeps_text = !json_.nfc && !json_.adds_space};
    read_tokens();
    read_added();
    for (size_t rank = 0; rank < json_.merges.size(); ++rank) {
      const TokenizerMerge& merge = json_.merges[rank];
      merges_.add(merge.left, merge.right, static_cast<int32_t>(rank), merge.merged);
    }
    for (const TokenizerSplit& split : json_.splits) {
      splits_.push_back({SplitPattern(split.pattern, name), split.removes, split.keeps_matches});
      if (split.removes) facts_.keeps_text = false;
    }
    word_splits_ = splits_.size();
    if (json_.splits_words) splits_.push_back({SplitPattern(kGpt2Pattern, name), false, false});
    cuts_at_spaces_ = cuts_samples_at_spaces();
  }

  std::vector<int32_t> encode(std::string_view text, bool continues) const override {
    std::vector<int32_t> ids;
    ids.reserve(text.size() / 3);
    std::unique_ptr<EncoderRoom> room = take_room();
    cut(
        text, continues, *room, [&](std::string_view word) { encode_word(word, *room, ids); },
        [&](const AddedToken& token) { ids.push_back(token.id); });
    give_back(std::move(room));
    return ids;
  }

  int64_t unknown_bytes(std::string_view text, bool continues) const override {
    if (knows_all_bytes_) return 0;
    int64_t bytes = 0;
    std::unique_ptr<EncoderRoom> room = take_room();
    cut(
        text, continues, *room,
        [&](std::string_view word) { bytes += std::ranges::count_if(word, [&](char c) { return id_of_byte(c) < 0; }); },
        [](const AddedToken&) {});
    give_back(std::move(room));
    return bytes;
  }

  std::string decode(std::span<const int32_t> ids) const override {
    std::string text;
    for (const int32_t id : ids)
      if (!is_special_[static_cast<size_t>(id)]) text += bytes_[static_cast<size_t>(id)];
    return text;
  }

  // A special token stands for itself where the text spells it, and for nothing where a document begins.
  std::vector<PieceSize> piece_sizes() const override {
    std::vector<PieceSize> sizes;
    for (size_t id = 0; id < bytes_.size(); ++id) {
      const auto size = static_cast<int64_t>(bytes_[id].size());
      sizes.push_back({is_special_[id] ? 0 : size, size});
    }
    if (json_.unknown_id >= 0) sizes[static_cast<size_t>(json_.unknown_id)] = {};
    return sizes;
  }

  bool may_cut(std::string_view before, std::string_view after) const override {
    return cuts_at_spaces_ && !before.empty() && after.starts_with(' ') && !is_unicode_blank(last_character(before));
  }

 private:
  struct Split {
    SplitPattern pattern;
    bool removes, keeps_matches;
  };

  int32_t id_of_byte(char c) const { return id_of_byte_[static_cast<uint8_t>(c)]; }

  void read_tokens() {
    id_of_byte_.fill(-1);
    is_special_.resize(static_cast<size_t>(json_.vocab_size));
    for (size_t id = 0; id < json_.tokens.size(); ++id) {
      std::string& bytes = bytes_.emplace_back();
      const auto number = static_cast<int32_t>(id);
      if (!token_to_bytes(json_.tokens[id], bytes)) {
        bytes = json_.tokens[id];  // in no word, as it is no text of bytes
        continue;
      }
      if (bytes.size() == 1) id_of_byte_[static_cast<uint8_t>(bytes[0])] = number;
      if (json_.whole_words_first && !bytes.empty()) words_.emplace(bytes, number);
    }
    knows_all_bytes_ = std::ranges::none_of(id_of_byte_, [](int32_t id) { return id < 0; });
    facts_.drops_unknown = !knows_all_bytes_ && json_.unknown_id < 0;
    json_.tokens.clear();
  }

  void read_added() {
    std::vector<AddedToken> plain, normalized;
    for (AddedToken& token : json_.added) {
      bytes_[static_cast<size_t>(token.id)] = token.content;
      is_special_[static_cast<size_t>(token.id)] = token.special;
      if (token.strips_left || token.strips_right) facts_.keeps_text = false;
      if (token.normalized && json_.nfc) token.content = to_nfc(token.content);
      (token.normalized ? normalized : plain).push_back(token);
    }
    plain_ = AddedTokenFinder(std::move(plain));
    normalized_ = AddedTokenFinder(std::move(normalized));
  }

  // Is a text that is cut before a space which follows a visible character split there anyway? Of the patterns in use
  // all do; a sample of each kind of neighbours tells. Added tokens say it themselves.
  bool cuts_samples_at_spaces() const {
    for (const AddedToken& token : json_.added) {
      const std::string& text = token.content;
      if (token.strips_right || (token.single_word && text.starts_with(' '))) return false;
      for (size_t space = text.find(' ', 1); space != text.npos; space = text.find(' ', space + 1))
        if (!is_unicode_blank(last_character(std::string_view(text).substr(0, space)))) return false;
    }
    const auto words = [&](std::string_view text, bool continues, std::vector<std::string>& list) {
      std::unique_ptr<EncoderRoom> room = take_room();
      cut(
          text, continues, *room, [&](std::string_view word) { list.emplace_back(word); }, [](const AddedToken&) {});
      give_back(std::move(room));
    };
    for (const char* before :
         {"a word", "Über", "x1", "12", "end.", "'", "don't", "\n\n\t#", "字", "क्", "😀", "_", "e\u0301"})
      for (const char* after :
           {" next", " Next", " 7", " .", "  two", "   ", " \n x", " 'll", " é", " 字", " 😀", " क", " _"}) {
        std::vector<std::string> apart, together;
        words(before, false, apart);
        words(after, true, apart);
        words(std::string(before) + after, false, together);
        if (apart != together) return false;
      }
    return true;
  }

  // Calls on_word for every word of `text` and on_token for its added tokens, in order.
  template <typename OnWord, typename OnToken>
  void cut(std::string_view text, bool continues, EncoderRoom& room, OnWord on_word, OnToken on_token) const {
    bool at_start = continues;  // no space is put before what continues a text
    const auto part = [&](std::string_view rest) {
      const bool may_add_space = !std::exchange(at_start, false);
      split(0, rest, may_add_space, room, on_word);
    };
    const auto token = [&](const AddedToken& found) {
      at_start = false;
      on_token(found);
    };
    const auto normalised = [&](std::string_view rest) {
      if (!json_.nfc || is_plainly_nfc(rest)) return normalized_.find(rest, part, token);
      const std::string composed = to_nfc(rest);
      normalized_.find(composed, part, token);
    };
    while (!text.empty()) {
      const size_t valid = valid_utf8_bytes(text);
      plain_.find(text.substr(0, valid), normalised, token);
      text.remove_prefix(valid);
      size_t bad = text.empty() ? 0 : 1;
      while (bad < text.size() && (static_cast<uint8_t>(text[bad]) & 0xC0) == 0x80) ++bad;
      if (bad > 0) on_word(text.substr(0, bad));
      text.remove_prefix(bad);
    }
  }

  template <typename OnWord>
  void split(size_t step, std::string_view text, bool may_add_space, EncoderRoom& room, OnWord& on_word) const {
    if (step == word_splits_ && json_.adds_space && may_add_space && !text.starts_with(' '))
      return split_by(step, " " + std::string(text), room, on_word);
    split_by(step, text, room, on_word, may_add_space);
  }

  template <typename OnWord>
  void split_by(size_t step, std::string_view text, EncoderRoom& room, OnWord& on_word,
                bool may_add_space = true) const {
    if (step == splits_.size()) return on_word(text);
    const Split& by = splits_[step];
    const auto go_on = [&](size_t begin, size_t end, bool is_match) {
      if (begin == end || (by.removes && is_match != by.keeps_matches)) return;
      split(step + 1, text.substr(begin, end - begin), may_add_space || begin > 0, room, on_word);
    };
    size_t done = 0;
    while (done < text.size()) {
      const auto match = by.pattern.find(text, done, room.match);
      if (!match) break;
      go_on(done, match->first, false);
      go_on(match->first, match->second, true);
      done = match->second;
    }
    go_on(done, text.size(), false);
  }

  void encode_word(std::string_view word, EncoderRoom& room, std::vector<int32_t>& ids) const {
    if (word.size() > WordCache::Entry::kBytes) {
      merge_word(word, room);
      ids.insert(ids.end(), room.word.begin(), room.word.end());
      return;
    }
    std::array<char, WordCache::Entry::kBytes> padded;
    WordCache::Entry& entry = room.cache.place_of(word, padded);
    if (entry.bytes == word.size() && entry.word == padded) {
      ids.insert(ids.end(), entry.id.begin(), entry.id.begin() + entry.ids);
      return;
    }
    merge_word(word, room);
    ids.insert(ids.end(), room.word.begin(), room.word.end());
    if (room.word.size() > WordCache::Entry::kIds) return;
    entry.word = padded;
    entry.bytes = static_cast<uint8_t>(word.size());
    entry.ids = static_cast<uint8_t>(room.word.size());
    std::ranges::copy(room.word, entry.id.begin());
  }

  // The ids of a word, in room.word.
  void merge_word(std::string_view word, EncoderRoom& room) const {
    room.word.clear();
    if (json_.whole_words_first)
      if (const auto found = words_.find(std::string(word)); found != words_.end()) {
        room.word.push_back(found->second);
        return;
      }
    bool after_unknown = false;
    for (const char c : word) {
      const int32_t id = id_of_byte(c);
      const bool known = id >= 0;
      if (known || (json_.unknown_id >= 0 && !(after_unknown && json_.fuses_unknown)))
        room.word.push_back(known ? id : json_.unknown_id);
      after_unknown = !known;
    }
    merges_.merge(room.word, room.merges);
  }

  // Rooms are as many as threads that encode at a time.
  std::unique_ptr<EncoderRoom> take_room() const {
    const std::lock_guard lock(rooms_mutex_);
    if (rooms_.empty()) return std::make_unique<EncoderRoom>();
    std::unique_ptr<EncoderRoom> room = std::move(rooms_.back());
    rooms_.pop_back();
    return room;
  }
  void give_back(std::unique_ptr<EncoderRoom> room) const {
    const std::lock_guard lock(rooms_mutex_);
    rooms_.push_back(std::move(room));
  }

  WordMerges merges_;
  TokenizerJson json_;
  std::vector<std::string> bytes_;  // by id: what it decodes to, but for special ones
  std::vector<bool> is_special_;
  std::array<int32_t, 256> id_of_byte_{};
  bool knows_all_bytes_ = false, cuts_at_spaces_ = false;
  std::unordered_map<std::string, int32_t> words_;  // where whole words come first
  AddedTokenFinder plain_, normalized_;
  std::vector<Split> splits_;
  size_t word_splits_ = 0;  // the splits before a space is added
  mutable std::mutex rooms_mutex_;
  mutable std::vector<std::unique_ptr<EncoderRoom>> rooms_;
};

}  // namespace

std::unique_ptr<const TokenizerModel> load_byte_level(const std::string& file, const std::string& name) {
  return std::make_unique<ByteLevelTokenizer>(TokenizerJson::parse(file, name), name);
}

}  // namespace nexus
