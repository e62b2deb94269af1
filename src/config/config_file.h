// Configuration files as trees. Errors are ErrorKind::kConfig.
#pragma once

#include <string>

#include "config/yaml_tree.h"

namespace nexus {

// The text of a file of at most kMaxConfigBytes.
std::string read_config_file(const std::string& path);
// A document whose top level is a map, possibly empty; `reference` names the file that lists its keys.
Node parse_config_file(const std::string& text, const std::string& path, const std::string& reference);

}  // namespace nexus
