// Variables of this process's environment. What the launcher says in them: system/launch_environment.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nexus {

// The value; "" where the variable is empty or not set, which mean the same almost everywhere.
std::string environment(const std::string& name);

// The same for those who must tell an empty variable from one that is not set.
std::optional<std::string> find_environment(const std::string& name);

// All that are set. A name may be anything without '='.
std::vector<std::string> environment_names();

// Letters, digits and underscores, not beginning with a digit: what a shell takes for the name of a variable.
bool is_variable_name(std::string_view name);

}  // namespace nexus
