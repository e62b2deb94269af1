#include "cli/thread_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "support/temp_folder.h"

namespace nexus {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<int> cores(int count, int first = 0) {
  std::vector<int> result(static_cast<size_t>(count));
  std::iota(result.begin(), result.end(), first);
  return result;
}

void write(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
}

TEST(ThreadsFromEnvironment, TakesTheFirstNumberAndNothingElse) {
  const std::pair<const char*, std::optional<int>> cases[] = {{"4", 4},
                                                              {"1000", 1000},
                                                              {"4,2", 4},
                                                              {" 3 ", 3},
                                                              {"0", std::nullopt},
                                                              {"abc", std::nullopt},
                                                              {"", std::nullopt},
                                                              {"-2", std::nullopt},
                                                              {"4x", std::nullopt},
                                                              {"2.5", std::nullopt},
                                                              {",4", std::nullopt},
                                                              {"99999999999", std::nullopt}};
  for (const auto& [text, threads] : cases) {
    ::setenv("OMP_NUM_THREADS", text, 1);
    EXPECT_EQ(threads_from_environment(), threads) << text;
  }
  ::unsetenv("OMP_NUM_THREADS");
  EXPECT_EQ(threads_from_environment(), std::nullopt);
}

TEST(OversubscribedHosts, AreThoseWithFarMoreThreadsThanCores) {
  EXPECT_THAT(oversubscribed_hosts({{"n1", 2, cores(2), {}}}), IsEmpty());
  EXPECT_THAT(oversubscribed_hosts({{"n1", 4, cores(2), {}}}), IsEmpty());
  EXPECT_THAT(
      oversubscribed_hosts({{"n1", 1000, cores(2), {}}}),
      ElementsAre(AllOf(HasSubstr("1 rank on n1 starts 1000 threads on 2 cores"), HasSubstr("OMP_NUM_THREADS=2"))));
  // Each host by itself.
  EXPECT_THAT(oversubscribed_hosts({{"n1", 8, cores(8), {}}, {"n2", 32, cores(8), {}}}),
              ElementsAre(HasSubstr("on n2 starts 32 threads")));
}

TEST(OversubscribedHosts, CountTheThreadsOfAllRanksAndTheCoresOfAll) {
  // Four ranks bound to a core each are right; unbound, each would start as many threads as there are cores.
  std::vector<RankThreads> bound, unbound;
  for (int rank = 0; rank < 4; ++rank) {
    bound.push_back({"n1", 1, cores(1, rank), {}});
    unbound.push_back({"n1", 4, cores(4), {}});
  }
  EXPECT_THAT(oversubscribed_hosts(bound), IsEmpty());
  EXPECT_THAT(oversubscribed_hosts(unbound), ElementsAre(AllOf(HasSubstr("4 ranks on n1 start 16 threads on 4 cores"),
                                                               HasSubstr("OMP_NUM_THREADS=1"))));
  EXPECT_THAT(oversubscribed_hosts(std::vector<RankThreads>(8, {"n1", 1, cores(2), {}})),
              ElementsAre(HasSubstr("start at most 2 ranks on it")));
}

TEST(OversubscribedHosts, GoByTheControlGroupsLimit) {
  EXPECT_THAT(oversubscribed_hosts({{"n1", 64, cores(64), 2.0}}), ElementsAre(HasSubstr("64 threads on 2 cores")));
  EXPECT_THAT(oversubscribed_hosts({{"n1", 2, cores(64), 0.5}}), IsEmpty());
  EXPECT_THAT(oversubscribed_hosts({{"n1", 4, cores(2), 64.0}}), IsEmpty());
}

TEST(CgroupCores, AreTheLeastOfTheLimitsOnTheWay) {
  const TempFolder folder;
  const std::string root = folder / "v2";
  EXPECT_EQ(cgroup_cores(root), std::nullopt);
  write(root + "/proc/self/cgroup", "0::/job/step\n");
  write(root + "/sys/fs/cgroup/job/step/cpu.max", "max 100000\n");
  EXPECT_EQ(cgroup_cores(root), std::nullopt);
  write(root + "/sys/fs/cgroup/job/cpu.max", "250000 100000\n");
  EXPECT_EQ(cgroup_cores(root), 2.5);
  write(root + "/sys/fs/cgroup/job/step/cpu.max", "400000 100000\n");
  EXPECT_EQ(cgroup_cores(root), 2.5);
}

TEST(CgroupCores, KnowTheFirstVersionToo) {
  const TempFolder folder;
  const std::string root = folder / "v1";
  write(root + "/proc/self/cgroup", "3:cpuset:/other\n2:cpu,cpuacct:/docker/abc\n0::/\n");
  write(root + "/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "-1\n");
  write(root + "/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cores(root), std::nullopt);
  write(root + "/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "300000\n");
  EXPECT_EQ(cgroup_cores(root), 3.0);
}

}  // namespace
}  // namespace nexus
