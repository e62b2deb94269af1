#include "system/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "core/units.h"
#include "system/environment.h"

namespace nexus {

bool is_terminal(int descriptor) {
  return isatty(descriptor) == 1;
}

int terminal_columns(int descriptor) {
  constexpr int kUsual = 100, kMost = 1000;
  winsize size{};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const auto told = find_environment("COLUMNS");
  const auto count = told ? parse_count(*told) : std::nullopt;
  return count && *count > 0 && *count <= kMost ? static_cast<int>(*count) : kUsual;
}

bool wants_color(int descriptor) {
  const auto no_color = find_environment("NO_COLOR");
  return is_terminal(descriptor) && (!no_color || no_color->empty());
}

}  // namespace nexus
