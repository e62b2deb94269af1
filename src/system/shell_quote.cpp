#include "system/shell_quote.h"

#include "core/ascii.h"
#include "core/error.h"

namespace nexus {

std::string shell_quote(const std::string& text) {
  NX_CHECK(text.find('\0') == std::string::npos);
  // NAME=VALUE would be an assignment where a command is expected; --option=value never is.
  if (!text.empty() && is_made_of(text, text.starts_with("-") ? "_./:@%+,-=" : "_./:@%+,-")) return text;
  std::string quoted = "'";
  for (const char c : text) c == '\'' ? quoted.append("'\\''") : quoted.append(1, c);
  return quoted + "'";
}

std::string shell_command(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text.append(text.empty() ? "" : " ").append(shell_quote(word));
  return text;
}

}  // namespace nexus
