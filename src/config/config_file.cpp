#include "config/config_file.h"

#include <fmt/format.h>

#include "core/clean_text.h"
#include "core/error.h"
#include "core/files.h"

namespace nexus {

std::string read_config_file(const std::string& path) {
  int line = 0;
  if (const std::string bad = find_bad_character(path, false, line); !bad.empty())
    throw Error(ErrorKind::kConfig, "the file's name holds " + bad, "command line", "rename the file");
  if (!path_exists(path)) throw Error(ErrorKind::kConfig, "there is no such file", path, "correct the path");
  try {
    return read_text_file(path, static_cast<int64_t>(kMaxConfigBytes));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kData) throw;
    throw Error(ErrorKind::kConfig, error.fact(), error.where(), error.todo());
  }
}

Node parse_config_file(const std::string& text, const std::string& path, const std::string& reference) {
  Node root = parse_yaml(text, path);
  if (root.kind != Node::Kind::kMap)
    refuse({path, 0}, "", fmt::format("the file is {}, not a map of keys", describe(root)),
           "see " + reference + " for the keys");
  return root;
}

}  // namespace nexus
