// Which file system a folder lies on, and what kind that is to somebody who keeps checkpoints there.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nexus {

struct Mount {
  std::string point;    // "/scratch"
  std::string type;     // "nfs4", "lustre", "ext4"
  std::string source;   // "server:/export"
  std::string options;  // of the mount and of the file system: "rw,relatime,vers=4.2,local_lock=none"
  bool has_option(std::string_view option) const;
};

// The lines of /proc/self/mountinfo; those that are none are left out.
std::vector<Mount> parse_mountinfo(std::string_view text);
// The one that `path` (absolute, without links) lies on: of the longest point, and of equal ones the last, which hides
// the others.
std::optional<Mount> mount_of(const std::vector<Mount>& mounts, std::string_view path);

enum class StorageKind {
  kLocal,   // this machine's disk: other nodes see another one
  kMemory,  // gone with the machine, or with the job
  kLayer,   // of a container: gone with it
  kShared,  // a network or parallel file system
  kUnknown  // has a type that nothing is known of
};
StorageKind storage_kind(std::string_view type);

}  // namespace nexus
