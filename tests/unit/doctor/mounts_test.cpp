#include "doctor/mounts.h"

#include <gtest/gtest.h>

namespace nexus {
namespace {

// Lines as kernels write them; the last but one has no source.
constexpr const char* kMountinfo =
    "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
    "31 27 0:41 / /home rw,nosuid shared:5 master:2 - nfs4 server:/export/home rw,vers=4.2,local_lock=none\n"
    "32 27 0:42 / /home/user rw - lustre mds@tcp:/scratch rw,flock\n"
    "33 27 0:43 / /mnt/with\\040blank\\134s rw - nfs nas:/a\\040b rw,nolock\n"
    "34 27 0:44 / /over rw - tmpfs tmpfs rw,size=1k\n"
    "35 27 0:45 / /over rw - xfs /dev/sdb rw\n"
    "36 27 0:46 / /torn rw - nfs\n"
    "garbage\n";

std::string type_at(const std::string& path) {
  const auto mount = mount_of(parse_mountinfo(kMountinfo), path);
  return mount ? mount->type : "none";
}

TEST(Mounts, ThePathLiesOnTheLongestPointAbove) {
  EXPECT_EQ(type_at("/etc"), "ext4");
  EXPECT_EQ(type_at("/home"), "nfs4");
  EXPECT_EQ(type_at("/home/someone/run"), "nfs4");
  EXPECT_EQ(type_at("/home/user/run"), "lustre");
  EXPECT_EQ(type_at("/home/usershop"), "nfs4");
  EXPECT_EQ(type_at("/torn/run"), "ext4");
}

TEST(Mounts, TheLastMountOnAPointHidesTheOthers) {
  EXPECT_EQ(type_at("/over/run"), "xfs");
}

TEST(Mounts, EscapedNamesAreReadBack) {
  const auto mount = mount_of(parse_mountinfo(kMountinfo), "/mnt/with blank\\s/run");
  ASSERT_TRUE(mount);
  EXPECT_EQ(mount->source, "nas:/a b");
}

TEST(Mounts, OptionsOfMountAndFileSystemAreWholeWords) {
  const auto mount = mount_of(parse_mountinfo(kMountinfo), "/home");
  ASSERT_TRUE(mount);
  EXPECT_TRUE(mount->has_option("nosuid"));
  EXPECT_TRUE(mount->has_option("local_lock=none"));
  EXPECT_FALSE(mount->has_option("local_lock"));
}

TEST(Mounts, KindsAreWhatTheyMeanToCheckpoints) {
  EXPECT_EQ(storage_kind("xfs"), StorageKind::kLocal);
  EXPECT_EQ(storage_kind("tmpfs"), StorageKind::kMemory);
  EXPECT_EQ(storage_kind("overlay"), StorageKind::kLayer);
  EXPECT_EQ(storage_kind("lustre"), StorageKind::kShared);
  EXPECT_EQ(storage_kind("nfs4"), StorageKind::kShared);
  EXPECT_EQ(storage_kind("newfs"), StorageKind::kUnknown);
}

}  // namespace
}  // namespace nexus
