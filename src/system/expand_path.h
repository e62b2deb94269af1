// Paths as a shell would read them.
#pragma once

#include <string>

namespace nexus {

// The path that `text` stands for, or why it stands for none.
struct ExpandedPath {
  std::string path;
  std::string problem, todo;  // empty where `path` holds
};

// A leading `~` (alone, or before a slash) is $HOME; $NAME and ${NAME} are variables of the environment. Refused, never
// taken as they stand: variables that are not set or empty, and all else of a shell's syntax (~user, $(command), $1,
// ${NAME:-word}, `command`, {a,b}, *, ?, [a-z], backslashes). The result expands to itself: a path that was written
// down is read back as it was.
ExpandedPath expand_path(const std::string& text);

}  // namespace nexus
