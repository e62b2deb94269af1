// JSON as text, for every file and line of JSON that nexus writes.
//
// Names of files and hosts, environment variables and command lines are bytes and need not be UTF-8. JSON is, and
// nlohmann's own `dump` throws where a string is not: here such bytes become U+FFFD. tests/check_layering keeps other
// code from calling `dump`.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace nexus {

// One line where `indent` is negative.
std::string json_text(const nlohmann::json& json, int indent = -1);
std::string json_text(const nlohmann::ordered_json& json, int indent = -1);

}  // namespace nexus
