#include "workloads/text/split_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "core/ascii.h"
#include "core/error.h"

namespace nexus {
namespace {

constexpr size_t kLeastStack = 32 << 10, kMostStack = 64 << 20;  // of compiled patterns, bytes

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

// Oniguruma's syntax to PCRE2's.
class PatternTranslator {
 public:
  PatternTranslator(const std::string& pattern, const std::string& name) : rest_(pattern), all_(pattern), name_(name) {}

  std::string run() {
    while (!rest_.empty()) {
      const char c = rest_.front();
      if (c == '\\') {
        escape();
      } else if (class_depth_ > 0) {
        inside_class(c);
      } else {
        outside_class(c);
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorKind::kData, fmt::format("the pattern '{}' cannot be used: {}", all_, what), name_,
                "use a tokenizer whose pattern is made of classes, groups, choices, repeats and looks around");
  }
  void copy(size_t count) {
    out_ += rest_.substr(0, count);
    rest_.remove_prefix(count);
  }
  char at(size_t index) const { return index < rest_.size() ? rest_[index] : '\0'; }

  void inside_class(char c) {
    if (rest_.starts_with("&&") || rest_.starts_with("[:") || rest_.starts_with("[^") || rest_.starts_with("[]"))
      refuse("classes with &&, [:names:] or ^ within a class are not supported");
    if (c == '[' || c == ']') {  // classes within a class are what both match
      class_depth_ += c == '[' ? 1 : -1;
      rest_.remove_prefix(1);
      if (class_depth_ == 0) out_ += ']';
      return;
    }
    copy(1);
  }

  void outside_class(char c) {
    if (c == '[') {
      copy(at(1) == '^' ? 2 : 1);
      if (at(0) == ']') refuse("a class begins with ]");
      class_depth_ = 1;
    } else if (c == ']') {
      out_ += '\\';
      copy(1);
    } else if (c == '(') {
      group();
    } else if (c == '{') {
      interval();
    } else {
      copy(1);
    }
  }

  void group() {
    for (const char* known : {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:"})
      if (rest_.starts_with(known)) return copy(std::string_view(known).size());
    if (at(1) == '?' || at(1) == '*') refuse("this kind of group is not supported: " + std::string(rest_.substr(0, 4)));
    copy(1);
  }

  // {n}, {n,}, {n,m}, {,m}; any other brace is a brace.
  void interval() {
    const size_t end = rest_.find('}');
    const std::string_view inside = end == rest_.npos ? "" : rest_.substr(1, end - 1);
    const size_t comma = inside.find(',');
    const std::string_view least = inside.substr(0, comma);
    const std::string_view most = comma == inside.npos ? "" : inside.substr(comma + 1);
    const auto is_number = [](std::string_view text) {
      return text.size() < 6 && text.find_first_not_of("0123456789") == text.npos;
    };
    if (!is_number(least) || !is_number(most) || (least.empty() && most.empty())) {
      out_ += '\\';
      return copy(1);
    }
    if (at(end + 1) == '+' || at(end + 1) == '?') refuse("+ or ? after a count in braces is not supported");
    out_ += least.empty() ? "{0" : "{";
    rest_.remove_prefix(1);
    copy(end);
  }

  void escape() {
    const char c = at(1);
    if (c == '\0') refuse("it ends with a backslash");
    if (!is_letter_or_digit(c)) {
      if ((static_cast<uint8_t>(c) & 0x80) != 0) {
        rest_.remove_prefix(1);
        return;
      }
      return copy(2);
    }
    const bool in_class = class_depth_ > 0;
    // To Oniguruma, the raised digits and fractions of Latin-1 are of words, those of other blocks not.
    constexpr std::string_view word = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\xB2\\xB3\\xB9\\xBC-\\xBE";
    switch (c) {
      case 's': return replace("\\p{White_Space}");
      case 'S': return replace("\\P{White_Space}");
      case 'd': return replace("\\p{Nd}");
      case 'D': return replace("\\P{Nd}");
      case 'w': return replace(in_class ? std::string(word) : fmt::format("[{}]", word));
      case 'v': return replace("\\x0B");
      case 'n':
      case 'r':
      case 't':
      case 'f': return copy(2);
      case 'p':
      case 'P': return property();
      case 'x':
      case 'u': return code_point();
      case 'W':
        if (!in_class) return replace(fmt::format("[^{}]", word));
        [[fallthrough]];
      default: refuse(fmt::format("\\{} is not supported{}", c, in_class ? " in a class" : ""));
    }
  }
  void replace(const std::string& text) {
    out_ += text;
    rest_.remove_prefix(2);
  }

  // General categories by their letters; other names are those of scripts.
  void property() {
    const size_t end = rest_.find('}');
    if (at(2) != '{' || end == rest_.npos) refuse("\\p without a name in braces");
    std::string_view name = rest_.substr(3, end - 3);
    const bool negated = name.starts_with('^');
    if (negated) name.remove_prefix(1);
    if (name.empty() || !is_made_of(name, "_")) refuse(fmt::format("\\p{{{}}} is no property", name));
    out_ += fmt::format("\\{}{{{}{}{}}}", rest_[1], negated ? "^" : "", name.size() > 2 ? "sc:" : "", name);
    rest_.remove_prefix(end + 1);
  }

  // \xHH below 80, \x{H...}, \uHHHH.
  void code_point() {
    const bool braces = at(2) == '{';
    const size_t begin = braces ? 3 : 2;
    const size_t size = braces ? rest_.find('}') - begin : at(1) == 'u' ? 4 : 2;
    const std::string_view digits = rest_.size() > begin ? rest_.substr(begin, size) : "";
    const bool is_hexadecimal = digits.find_first_not_of("0123456789abcdefABCDEF") == digits.npos;
    if (digits.empty() || digits.size() != size || size > 6 || !is_hexadecimal || (braces && at(1) == 'u'))
      refuse("\\x or \\u without a code point");
    if (!braces && at(1) == 'x' && digits.front() >= '8') refuse("\\x80 and beyond are bytes, not characters");
    out_ += fmt::format("\\x{{{}}}", digits);
    rest_.remove_prefix(begin + size + (braces ? 1 : 0));
  }

  std::string_view rest_;
  const std::string& all_;
  const std::string& name_;
  std::string out_;
  int class_depth_ = 0;
};

}  // namespace

struct MatchRoom::Parts {
  pcre2_match_data* match = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(kLeastStack, kMostStack, nullptr);
};

MatchRoom::MatchRoom() : parts_(std::make_unique<Parts>()) {
  NX_CHECK(parts_->match != nullptr && parts_->context != nullptr && parts_->stack != nullptr, "out of memory");
  pcre2_jit_stack_assign(parts_->context, nullptr, parts_->stack);
}

MatchRoom::~MatchRoom() {
  pcre2_match_data_free(parts_->match);
  pcre2_match_context_free(parts_->context);
  pcre2_jit_stack_free(parts_->stack);
}

struct SplitPattern::Code {
  pcre2_code* compiled = nullptr;
  ~Code() { pcre2_code_free(compiled); }
};

SplitPattern::SplitPattern(const std::string& pattern, const std::string& name)
    : code_(std::make_unique<Code>()), name_(name) {
  const std::string translated = PatternTranslator(pattern, name).run();
  int error = 0;
  PCRE2_SIZE place = 0;
  // Lines matter to ^ and $ in Oniguruma, always.
  code_->compiled =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &place, nullptr);
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorKind::kData, fmt::format("the pattern '{}' cannot be used: {}", pattern, what), name,
                "use another tokenizer");
  };
  if (code_->compiled == nullptr) refuse(pcre2_message(error));
  uint32_t matches_nothing = 0;
  pcre2_pattern_info(code_->compiled, PCRE2_INFO_MATCHEMPTY, &matches_nothing);
  if (matches_nothing != 0) refuse("it matches where there is no text");
  pcre2_jit_compile(code_->compiled, PCRE2_JIT_COMPLETE);  // where there is none, PCRE2 interprets
}

SplitPattern::~SplitPattern() = default;
SplitPattern::SplitPattern(SplitPattern&&) noexcept = default;

std::optional<std::pair<size_t, size_t>> SplitPattern::find(std::string_view text, size_t from, MatchRoom& room) const {
  const MatchRoom::Parts& parts = *room.parts_;
  const int found = pcre2_match(code_->compiled, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                                PCRE2_NO_UTF_CHECK, parts.match, parts.context);
  if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (found < 0)
    throw Error(ErrorKind::kData, fmt::format("the tokenizer's pattern fails on this text ({})", pcre2_message(found)),
                name_, "use another tokenizer, or leave this text out");
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(parts.match);
  return std::pair(ends[0], ends[1]);
}

std::string quoted_pattern(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    const bool plain = is_letter_or_digit(c) || (static_cast<uint8_t>(c) & 0x80) != 0 || is_control(c) || c == ' ';
    if (!plain) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

}  // namespace nexus
