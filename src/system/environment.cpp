#include "system/environment.h"

#include <cstdlib>

#include "core/ascii.h"

extern char** environ;

namespace nexus {

std::string environment(const std::string& name) {
  return find_environment(name).value_or("");
}

std::optional<std::string> find_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::vector<std::string> environment_names() {
  std::vector<std::string> names;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    names.emplace_back(text.substr(0, text.find('=')));
  }
  return names;
}

bool is_variable_name(std::string_view name) {
  return !name.empty() && !is_digit(name[0]) && is_made_of(name, "_");
}

}  // namespace nexus
