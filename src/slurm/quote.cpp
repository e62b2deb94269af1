#include "slurm/quote.h"

#include <algorithm>

#include "core/ascii.h"
#include "core/error.h"
#include "spec/cluster_words.h"

namespace nexus {
namespace {

// For messages: a value that is refused may hold anything.
std::string shown(const std::string& text) {
  std::string out;
  for (const char c : text.substr(0, 60)) out += is_control(c) ? '?' : c;
  return out + (text.size() > 60 ? "..." : "");
}

}  // namespace

std::string sbatch_quote(const std::string& text) {
  NX_CHECK(text.find('\n') == std::string::npos && text.find('\0') == std::string::npos);
  if (!text.empty() && is_made_of(text, "_./:@%+,=-")) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

void require_printable(const std::string& text, const std::string& where) {
  if (std::none_of(text.begin(), text.end(), is_control)) return;
  throw Error(ErrorKind::kConfig, fmt::format("'{}' holds a control character", shown(text)), where,
              "write it without line breaks, tabs and other control characters");
}

void require_word(const std::string& text, std::string_view signs, const std::string& where) {
  if (is_word(text, signs)) return;
  throw Error(ErrorKind::kConfig, fmt::format("'{}' cannot stand in a job script", shown(text)), where,
              fmt::format("use letters, digits and {} only, and no dash in front", signs));
}

}  // namespace nexus
