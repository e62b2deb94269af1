#include <set>

#include "core/error.h"
#include "slurm/templates.h"

namespace nexus {
namespace {

constexpr const char* kPlaceLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_";

// Where the place that begins at `begin` ends (behind its second @); npos where an @ begins none.
size_t end_of_place(const std::string& text, size_t begin) {
  const size_t end = text.find_first_not_of(kPlaceLetters, begin + 1);
  return end == std::string::npos || end == begin + 1 || text[end] != '@' ? std::string::npos : end + 1;
}

}  // namespace

std::string fill_template(const std::string& text, const std::map<std::string, std::string>& values) {
  std::string filled;
  std::set<std::string> used;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text[at] == '@' ? end_of_place(text, at) : std::string::npos;
    if (end == std::string::npos) {
      filled += text[at++];
      continue;
    }
    const std::string name = text.substr(at + 1, end - at - 2);
    const auto value = values.find(name);
    NX_CHECK(value != values.end(), "no value for @{}@", name);
    used.insert(name);
    filled += value->second;
    const bool whole_line = (at == 0 || text[at - 1] == '\n') && end < text.size() && text[end] == '\n';
    at = end + (whole_line && value->second.empty() ? 1 : 0);
  }
  for (const auto& [name, value] : values) NX_CHECK(used.count(name) > 0, "no place @{}@", name);
  return filled;
}

}  // namespace nexus
