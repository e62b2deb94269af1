#include "doctor/slurm_facts.h"

#include <gtest/gtest.h>

#include "unit/doctor/finding_support.h"

namespace nexus {
namespace {

// Of a real Slurm 22.05.8.
constexpr const char* kConfig =
    "Configuration data as of 2026-11-22T10:03:13\n"
    "AccountingStorageBackupHost = (null)\n"
    "JobRequeue              = 1\n"
    "KillWait                = 5 sec\n"
    "MpiDefault              = pmix\n"
    "OverTimeLimit           = 0 min\n"
    "PowerPlugin             = \n"
    "PreemptMode             = REQUEUE\n"
    "PreemptType             = preempt/partition_prio\n"
    "RequeueExit             = (null)\n"
    "RequeueExitHold         = (null)\n"
    "SlurmctldHost[0]        = vm(127.0.0.1)\n"
    "\n"
    "MPI Plugins Configuration:\n"
    "PMIxDirectConn          = yes\n";
constexpr const char* kPartitions =
    "PartitionName=batch AllowGroups=ALL Default=YES QoS=N/A DefaultTime=NONE GraceTime=20 MaxTime=UNLIMITED "
    "OverTimeLimit=NONE PreemptMode=REQUEUE State=UP TRES=cpu=4,mem=2M,node=2\n"
    "PartitionName=urgent Default=NO DefaultTime=NONE GraceTime=0 MaxTime=1-00:00:00 PreemptMode=OFF State=UP\n";

using Record = std::map<std::string, std::string>;

Record changed(const std::string& key, const std::string& value) {
  Record config = parse_slurm_config(kConfig);
  config[key] = value;
  return config;
}

TEST(SlurmConfig, ValuesAreReadByName) {
  const Record config = parse_slurm_config(kConfig);
  EXPECT_EQ(config.at("KillWait"), "5 sec");
  EXPECT_EQ(config.at("PreemptType"), "preempt/partition_prio");
  EXPECT_EQ(config.at("SlurmctldHost[0]"), "vm(127.0.0.1)");
  EXPECT_EQ(config.at("PowerPlugin"), "");
  EXPECT_EQ(config.count("MPI Plugins Configuration:"), 0u);
}

TEST(SlurmRecords, ValuesMayHoldEqualsSigns) {
  const auto partitions = parse_slurm_records(kPartitions);
  ASSERT_EQ(partitions.size(), 2u);
  EXPECT_EQ(partitions[0].at("TRES"), "cpu=4,mem=2M,node=2");
  EXPECT_EQ(partitions[1].at("MaxTime"), "1-00:00:00");
}

TEST(SlurmNumbers, BeginTheirText) {
  EXPECT_EQ(leading_number("30 sec"), 30);
  EXPECT_EQ(leading_number(" 0 min"), 0);
  EXPECT_EQ(leading_number("UNLIMITED"), std::nullopt);
  EXPECT_EQ(leading_number(""), std::nullopt);
}

TEST(SrunMpiList, IsReadInTheFormsOfOldAndNewVersions) {
  using Kinds = std::vector<std::string>;
  EXPECT_EQ(parse_srun_mpi_list("MPI plugin types are...\n\tpmix\n\tnone\n\tpmi2\n"
                                "specific pmix plugin versions available: pmix_v4,pmix_v3\n"),
            (Kinds{"pmix", "none", "pmi2", "pmix_v4", "pmix_v3"}));
  EXPECT_EQ(parse_srun_mpi_list("srun: MPI types are...\nsrun: none\nsrun: pmi2\n"), (Kinds{"none", "pmi2"}));
  EXPECT_TRUE(parse_srun_mpi_list("srun: error: Unable to contact slurm controller: pmix\n").empty());
}

TEST(JudgeConfig, AFriendlyClusterIsAllOk) {
  for (const Finding& finding : judge_slurm_config(parse_slurm_config(kConfig)))
    EXPECT_EQ(finding.level, Level::kOk) << finding.what;
}

TEST(JudgeConfig, SettingsThatChangeWhatJobsMustDoAreSaid) {
  EXPECT_EQ(level_of(judge_slurm_config(changed("JobRequeue", "0")), "JobRequeue 0"), "note");
  EXPECT_EQ(level_of(judge_slurm_config(changed("MpiDefault", "none")), "MpiDefault none"), "note");
  EXPECT_EQ(level_of(judge_slurm_config(changed("OverTimeLimit", "10 min")), "OverTimeLimit 10 min"), "note");
  EXPECT_EQ(level_of(judge_slurm_config(changed("OverTimeLimit", "UNLIMITED")), "OverTimeLimit UNLIMITED"), "note");
  EXPECT_EQ(level_of(judge_slurm_config(changed("PreemptMode", "CANCEL")), "PreemptMode CANCEL"), "warning");
  EXPECT_EQ(level_of(judge_slurm_config(changed("PreemptMode", "GANG,SUSPEND")), "looks like one that hangs"),
            "warning");
  EXPECT_EQ(level_of(judge_slurm_config(changed("PreemptType", "preempt/none")), "no preemption"), "ok");
}

TEST(JudgeConfig, CodesThatSlurmRequeuesByItselfAreFoundAsWholeNumbers) {
  EXPECT_EQ(level_of(judge_slurm_config(changed("RequeueExit", "1,75")), "RequeueExit holds 75"), "warning");
  EXPECT_EQ(level_of(judge_slurm_config(changed("RequeueExitHold", "93")), "RequeueExitHold holds 93"), "warning");
  EXPECT_EQ(find(judge_slurm_config(changed("RequeueExit", "175,7")), "holds"), nullptr);
}

TEST(JudgePartitions, NoticeBeforeAKillIsTold) {
  const Record config = parse_slurm_config(kConfig);
  auto partitions = parse_slurm_records(kPartitions);
  std::vector<Finding> findings = judge_slurm_partitions(partitions, config);
  EXPECT_EQ(
      level_of(findings, "partition batch (default): MaxTime UNLIMITED, DefaultTime NONE, preempted (REQUEUE) 20 s"),
      "ok");
  EXPECT_EQ(level_of(findings, "partition urgent: MaxTime 1-00:00:00, DefaultTime NONE, not preempted"), "ok");
  partitions[0]["GraceTime"] = "0";
  partitions[1]["State"] = "DRAIN";
  findings = judge_slurm_partitions(partitions, config);
  EXPECT_EQ(level_of(findings, "with GraceTime 0"), "warning");
  EXPECT_EQ(level_of(findings, "State DRAIN"), "warning");
  EXPECT_EQ(level_of(judge_slurm_partitions(partitions, changed("PreemptType", "preempt/none")), "partition batch"),
            "ok");
}

TEST(JudgeNodes, NodesOutOfServiceAreCounted) {
  const auto findings =
      judge_slurm_nodes(parse_sinfo("batch|up|infinite|3|idle\nbatch|up|infinite|1|down*\n"
                                    "old|up|1:00:00|2|drain\nold|up|1:00:00|1|idle*\n"
                                    "fine|up|1:00:00|2|mix\nfine|up|1:00:00|2|alloc\nshort|line\n"));
  EXPECT_EQ(level_of(findings, "partition batch: 3 of 4 nodes in service"), "note");
  EXPECT_EQ(level_of(findings, "partition old: 0 of 3 nodes in service"), "warning");
  EXPECT_EQ(level_of(findings, "partition fine: 4 of 4 nodes in service"), "ok");
  EXPECT_EQ(findings.size(), 3u);
}

TEST(JudgeJob, AJobThatIsNotRequeuedGetsTheCommandForIt) {
  Record job =
      parse_slurm_record("JobId=7 JobName=x Requeue=1 Restarts=2 TimeLimit=01:00:00 EndTime=2026-11-22T11:00:00");
  EXPECT_EQ(level_of(judge_slurm_job(job), "this is job 7: TimeLimit 01:00:00"), "ok");
  job["Requeue"] = "0";
  ASSERT_EQ(judge_slurm_job(job).size(), 1u);
  EXPECT_EQ(judge_slurm_job(job)[0].level, Level::kWarning);
  EXPECT_EQ(judge_slurm_job(job)[0].cure, "scontrol update JobId=7 Requeue=1");
}

}  // namespace
}  // namespace nexus
