#include "doctor/ranks.h"

#include <gtest/gtest.h>

#include "doctor/launcher_output.h"
#include "unit/doctor/finding_support.h"

namespace nexus {
namespace {

RankFacts rank_on(const std::string& host, int rank, std::vector<int> cpus) {
  RankFacts facts;
  facts.rank = rank;
  facts.host = host;
  facts.cpus = std::move(cpus);
  facts.host_cpus = 4;
  facts.program = "digest";
  facts.version = "0.1.0";
  facts.mpi = "Open MPI v4.1.4";
  return facts;
}

// Two ranks on each of two hosts, each with two of four processors and a GPU.
WorldFacts good_world() {
  WorldFacts world;
  for (int rank = 0; rank < 4; ++rank) {
    const int first = rank % 2 * 2;
    world.ranks.push_back(rank_on(rank < 2 ? "a" : "b", rank, {first, first + 1}));
    world.ranks.back().gpu = "H200 " + std::to_string(rank % 2);
  }
  world.sums_right = true;
  world.small_sum_seconds = 2e-6;
  world.large_sum_seconds = 1e-3;
  world.large_bytes = 4'000'000;
  return world;
}

TEST(World, AGoodOneIsAllOk) {
  const std::vector<Finding> findings = judge_world(good_world());
  for (const Finding& finding : findings) EXPECT_EQ(finding.level, Level::kOk) << finding.what;
  EXPECT_NE(find(findings, "4 ranks on 2 hosts"), nullptr);
  // 2 (4 - 1) / 4 of 4 MB in a millisecond.
  const Finding* sums = find(findings, "all-reduce over 4 ranks: 8 bytes in 2.0 us");
  ASSERT_NE(sums, nullptr);
  EXPECT_DOUBLE_EQ(sums->figures.at("bytes_per_second"), 6e9);
}

TEST(World, RanksThatDifferAreNamed) {
  WorldFacts world = good_world();
  world.ranks[2].program = "other";
  world.ranks[3].mpi = "Open MPI v5.0.0";
  const std::vector<Finding> findings = judge_world(world);
  EXPECT_EQ(level_of(findings, "the nexus executable differs from rank 0's: rank 2 (host b)"), "problem");
  EXPECT_EQ(level_of(findings, "the MPI library differs from rank 0's: rank 3 (host b)"), "problem");
  EXPECT_TRUE(all_have_cures(findings));
}

TEST(World, TwoRanksOnOneGpuAreAProblemOnOneHostOnly) {
  WorldFacts world = good_world();
  world.ranks[3].gpu = world.ranks[2].gpu;
  EXPECT_EQ(level_of(judge_world(world), "host b: ranks 2 and 3 would take the same GPU"), "problem");
  EXPECT_EQ(find(judge_world(good_world()), "same GPU"), nullptr);
}

TEST(World, ProcessorsThatAreSharedOrLeftIdleAreFound) {
  WorldFacts world = good_world();
  world.ranks[0].cpus = world.ranks[1].cpus = {2};
  world.ranks[2].cpus = {0};
  world.ranks[3].cpus = {1};
  const std::vector<Finding> findings = judge_world(world);
  EXPECT_EQ(level_of(findings, "host a: 2 ranks are bound to processors 2"), "warning");
  EXPECT_EQ(level_of(findings, "host b: its ranks may use 2 of 4 processors"), "warning");
}

TEST(World, RanksWithoutABindingShareAllProcessorsInPeace) {
  WorldFacts world = good_world();
  for (RankFacts& rank : world.ranks) rank.cpus = {0, 1, 2, 3};
  for (const Finding& finding : judge_world(world)) EXPECT_EQ(finding.level, Level::kOk) << finding.what;
  for (RankFacts& rank : world.ranks) rank.host_cpus = 1, rank.cpus = {0};
  EXPECT_EQ(level_of(judge_world(world), "host a: 2 ranks on 1 processors"), "warning");
}

TEST(World, HostsWithUnequalNumbersAreFound) {
  WorldFacts world = good_world();
  world.ranks.pop_back();
  EXPECT_EQ(level_of(judge_world(world), "3 ranks on 2 hosts: 1 on one, 2 on another"), "warning");
}

TEST(World, ClocksOfHostsAreComparedInBothDirections) {
  const auto level = [](double offset) {
    WorldFacts world = good_world();
    world.ranks[2].clock_offset = world.ranks[3].clock_offset = offset;
    return level_of(judge_world(world), "wall clocks of the hosts");
  };
  EXPECT_EQ(level(0.001), "ok");
  EXPECT_EQ(level(-2), "warning");
  EXPECT_EQ(level(2), "warning");
  EXPECT_EQ(level(-100), "problem");
}

TEST(World, WrongAndSlowSumsAreFound) {
  WorldFacts world = good_world();
  world.small_sum_seconds = 0.01;
  EXPECT_EQ(level_of(judge_world(world), "all-reduce over 4 ranks"), "warning");
  world.sums_right = false;
  EXPECT_EQ(level_of(judge_world(world), "sums over the ranks are wrong"), "problem");
}

TEST(World, ASingleProcessExaminesItself) {
  const std::unique_ptr<Communicator> self = make_self_communicator();
  const WorldFacts facts = examine_world(*self, own_facts("1.0", ""));
  ASSERT_EQ(facts.ranks.size(), 1u);
  EXPECT_TRUE(facts.sums_right);
  EXPECT_FALSE(facts.ranks[0].cpus.empty());
  EXPECT_EQ(facts.ranks[0].program.size(), 32u);
  EXPECT_EQ(facts.ranks[0].clock_offset, 0);
  EXPECT_EQ(exit_code_of(judge_world(facts)), 0);
}

TEST(CpuList, JoinsNeighbours) {
  EXPECT_EQ(cpu_list({0, 1, 2, 3, 8, 10, 11}), "0-3,8,10-11");
  EXPECT_EQ(cpu_list({}), "");
}

TEST(Probe, AWorldSurvivesTheWayThroughALine) {
  WorldFacts world = good_world();
  world.ranks[1].clock_offset = -0.25;
  const ProbeOutput probe = parse_probe_output("some warning\n" + probe_line(world) + "more\n");
  EXPECT_EQ(probe.singletons, 0);
  ASSERT_EQ(probe.worlds.size(), 1u);
  EXPECT_EQ(world_json(probe.worlds[0]), world_json(world));
}

TEST(Probe, WorldsOfOneAreCountedAndTornLinesAreNot) {
  WorldFacts alone = good_world();
  alone.ranks.resize(1);
  const ProbeOutput probe = parse_probe_output(probe_line(alone) + singleton_line("srun started 2 tasks") +
                                               "nexus-probe {\"ranks\": [\nnexus-probe {}\n");
  EXPECT_EQ(probe.singletons, 2);
  EXPECT_EQ(probe.worlds.size(), 1u);
}

TEST(LaunchTrouble, IsReadFromWhatLaunchersWrite) {
  EXPECT_EQ(launch_trouble("mpirun has detected an attempt to run as root.\n"), LaunchTrouble::kRoot);
  EXPECT_EQ(launch_trouble("There are not enough slots available in the system to satisfy the 2\nslots"),
            LaunchTrouble::kSlots);
  EXPECT_EQ(launch_trouble("A request was made to bind to that would result in binding more\n"
                           "processes than cpus on a resource"),
            LaunchTrouble::kBinding);
  EXPECT_EQ(
      launch_trouble("The value of the MCA parameter \"plm_rsh_agent\" was set to a path\nthat could not be found:"),
      LaunchTrouble::kNoShell);
  EXPECT_EQ(launch_trouble("srun: unrecognized option '--overlap'"), LaunchTrouble::kOverlap);
  EXPECT_EQ(launch_trouble("slurmstepd-n2: error: execve(): /tmp/nexus: No such file or directory\n"),
            LaunchTrouble::kAbsent);
  EXPECT_EQ(launch_trouble("mpirun was unable to launch the specified application as it could not access\n"
                           "or execute an executable:\n"),
            LaunchTrouble::kAbsent);
  EXPECT_EQ(launch_trouble("segmentation fault"), LaunchTrouble::kNone);
}

}  // namespace
}  // namespace nexus
