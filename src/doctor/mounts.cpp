#include "doctor/mounts.h"

#include <algorithm>
#include <array>
#include <sstream>

namespace nexus {
namespace {

// mountinfo writes blanks, tabs, newlines and backslashes as \040 and so on.
std::string unescaped(std::string_view text) {
  const auto octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape =
        text[i] == '\\' && i + 3 < text.size() && octal(text[i + 1]) && octal(text[i + 2]) && octal(text[i + 3]);
    if (!escape) {
      plain += text[i];
      continue;
    }
    plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
    i += 3;
  }
  return plain;
}

bool lies_below(std::string_view path, std::string_view point) {
  if (point == "/") return true;
  return path.substr(0, point.size()) == point && (path.size() == point.size() || path[point.size()] == '/');
}

template <size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

bool Mount::has_option(std::string_view option) const {
  std::istringstream words(options);
  for (std::string word; std::getline(words, word, ',');)
    if (word == option) return true;
  return false;
}

// "36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw,errors=continue"; see proc(5).
std::vector<Mount> parse_mountinfo(std::string_view text) {
  std::vector<Mount> mounts;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string skipped, point, options, word, type, source, more;
    words >> skipped >> skipped >> skipped >> skipped >> point >> options;
    while (words >> word && word != "-") {
    }
    if (!(words >> type >> source)) continue;
    words >> more;
    mounts.push_back({unescaped(point), type, unescaped(source), options + "," + more});
  }
  return mounts;
}

std::optional<Mount> mount_of(const std::vector<Mount>& mounts, std::string_view path) {
  const Mount* best = nullptr;
  for (const Mount& mount : mounts)
    if (lies_below(path, mount.point) && (best == nullptr || mount.point.size() >= best->point.size())) best = &mount;
  return best == nullptr ? std::nullopt : std::optional<Mount>(*best);
}

StorageKind storage_kind(std::string_view type) {
  constexpr std::array<std::string_view, 9> kDisks{"ext2", "ext3", "ext4", "xfs", "btrfs",
                                                   "zfs",  "f2fs", "jfs",  "vfat"};
  constexpr std::array<std::string_view, 20> kNetworks{
      "nfs",        "nfs4",     "lustre", "gpfs",  "beegfs", "ceph",  "fuse.ceph", "cifs",           "smb3",
      "9p",         "virtiofs", "wekafs", "panfs", "afs",    "pvfs2", "orangefs",  "fuse.glusterfs", "glusterfs",
      "fuse.sshfs", "gfs2"};
  if (is_one_of(type, kDisks)) return StorageKind::kLocal;
  if (type == "tmpfs" || type == "ramfs") return StorageKind::kMemory;
  if (type == "overlay" || type == "aufs" || type == "fuse.fuse-overlayfs") return StorageKind::kLayer;
  if (is_one_of(type, kNetworks)) return StorageKind::kShared;
  return StorageKind::kUnknown;
}

}  // namespace nexus
