// A regular expression of a tokenizer.json, by which text is split: PCRE2 with its compiler, on UTF-8.
//
// The tokenizers library matches with Oniguruma. What both libraries write alike and mean alike is taken as it is; \s,
// \w, \d, scripts and nested classes are rewritten to what Oniguruma means by them; everything else is refused, rather
// than split otherwise than the library does. The tables of Unicode are PCRE2's own.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace nexus {

// Room for one match at a time, of any pattern.
class MatchRoom {
 public:
  MatchRoom();
  ~MatchRoom();
  MatchRoom(const MatchRoom&) = delete;
  MatchRoom& operator=(const MatchRoom&) = delete;

 private:
  friend class SplitPattern;
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

class SplitPattern {
 public:
  // Throws ErrorKind::kData for a pattern that is none, that is refused, or that matches nothing between two
  // characters. `name` is the file's.
  SplitPattern(const std::string& pattern, const std::string& name);
  ~SplitPattern();
  SplitPattern(SplitPattern&&) noexcept;

  // The first match at `from` or behind it, as [begin, end); nothing where there is none. `text` is UTF-8. Throws
  // ErrorKind::kData where the pattern takes too many steps.
  std::optional<std::pair<size_t, size_t>> find(std::string_view text, size_t from, MatchRoom& room) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
  std::string name_;
};

// `text` as a pattern that matches it and nothing else.
std::string quoted_pattern(std::string_view text);

}  // namespace nexus
