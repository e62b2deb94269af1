#include "slurm/job_script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/files.h"
#include "support/expect_error.h"
#include "support/fake_slurm.h"
#include "system/process.h"
#include "unit/slurm/sbatch_reader.h"
#include "unit/slurm/specs.h"

namespace nexus {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string script_of(const ClusterSpec& cluster, const CampaignSpec& spec = two_stages("/runs/a")) {
  return job_script(spec, cluster, stage_request("/runs/a"));
}

TEST(JobScript, AsksForWhatCampaignAndClusterSay) {
  CampaignSpec spec = two_stages("/runs/a");
  spec.slurm.nodes = 2;
  spec.slurm.time_seconds = 25 * 3600 + 1;
  ClusterSpec cluster = small_cluster(Launcher::kSrun);
  cluster.gpus_per_node = 4;
  cluster.gres = "gpu:h200";
  cluster.memory = "0";
  cluster.exclusive = true;
  cluster.partition = "gpu,gpu-low";
  cluster.constraint = "[a|b]&c,hbm=flat";
  cluster.qos = "high@gpu";
  EXPECT_THAT(sbatch_options(script_of(cluster, spec)),
              ElementsAre("--job-name=tiny.s0", "--comment=nexus:0123456789abcdef:s0", "--chdir=/runs/a",
                          "--output=logs/s0-%j.out", "--open-mode=append", "--requeue", "--kill-on-invalid-dep=yes",
                          "--nodes=2", "--ntasks-per-node=4", "--cpus-per-task=2", "--gres=gpu:h200:4", "--mem=0",
                          "--exclusive", "--time=1-01:01:00", "--partition=gpu,gpu-low", "--qos=high@gpu",
                          "--constraint=[a|b]&c,hbm=flat"));
}

TEST(JobScript, AGridThatTheNodesDoNotHaveIsRefused) {
  for (const Launcher launcher : {Launcher::kSrun, Launcher::kMpirun}) {
    CampaignSpec spec = two_stages("/runs/a");
    spec.parallel.dp = 4;
    EXPECT_NO_THROW(script_of(small_cluster(launcher), spec));
    spec.slurm.nodes = 2;
    EXPECT_NEXUS_ERROR(script_of(small_cluster(launcher), spec), ErrorKind::kConfig, HasSubstr("slurm.nodes"));
  }
}

TEST(JobScript, UnsetThingsAreNotAskedFor) {
  const std::vector<std::string> options = sbatch_options(script_of(ClusterSpec{}));
  for (const char* name : {"--partition", "--time", "--mem", "--gres", "--gpus", "--account", "--signal"})
    EXPECT_THAT(options, Not(Contains(testing::StartsWith(name))));
}

TEST(JobScript, TimeLimitsKeepToTheClusters) {
  CampaignSpec spec = two_stages("/runs/a");
  ClusterSpec cluster;
  cluster.max_time_seconds = 3600;
  EXPECT_EQ(time_limit_seconds(spec, cluster), 3600);
  spec.slurm.time_seconds = 600;
  EXPECT_THAT(sbatch_options(script_of(cluster, spec)), Contains("--time=00:10:00"));
  spec.slurm.time_seconds = 3601;
  EXPECT_NEXUS_ERROR(script_of(cluster, spec), ErrorKind::kConfig, HasSubstr("slurm.time"));
}

TEST(JobScript, NoticeUnderMpirunNeverFillsAShortJob) {
  CampaignSpec spec = two_stages("/runs/a");
  spec.slurm.stop_margin_seconds = 120;
  const ClusterSpec cluster = small_cluster(Launcher::kMpirun);
  EXPECT_THAT(sbatch_options(script_of(cluster, spec)), Contains("--signal=B:USR2@120"));
  spec.slurm.time_seconds = 60;
  EXPECT_THAT(sbatch_options(script_of(cluster, spec)), Contains("--signal=B:USR2@15"));
}

TEST(JobScript, ScriptsAreShortAndNeverRefuseARequeue) {
  for (const Launcher launcher : {Launcher::kSrun, Launcher::kMpirun}) {
    ClusterSpec cluster = small_cluster(launcher);
    cluster.modules = {"openmpi/4.1", "cuda/13"};
    cluster.environment = {{"NCCL_DEBUG", "WARN"}, {"OMP_NUM_THREADS", "3"}};
    const std::string script = script_of(cluster);
    EXPECT_LT(std::count(script.begin(), script.end(), '\n'), 60);
    EXPECT_THAT(script, Not(HasSubstr("--no-requeue")));
    EXPECT_THAT(script, Not(HasSubstr("OMP_NUM_THREADS=2")));
    EXPECT_LT(script.find("trap "), script.find("\ncd "));
  }
}

// bash, and shellcheck where it is installed, on every kind of script.
TEST(JobScript, ShellAndShellcheckFindNothingToSay) {
  const TempFolder folder;
  bool checked = true;
  for (const Launcher launcher : {Launcher::kSrun, Launcher::kMpirun})
    for (const bool array : {false, true})
      for (const bool full : {false, true}) {
        ClusterSpec cluster = small_cluster(launcher);
        JobRequest request = stage_request("/runs/it's a \"run\"");
        request.array = array;
        if (array) request.runs.push_back("/runs/b");
        if (full) {
          cluster.modules = {"openmpi/4.1"};
          cluster.environment = {{"A", "$HOME 'x' `y`"}, {"B", ""}};
          cluster.launcher_options = {"--mca", "a b", "$x"};
          cluster.nexus = "/opt/my nexus/bin/nexus";
        }
        const std::string path = folder / "job.sbatch";
        write_file_durably(path, job_script(two_stages("/runs/a"), cluster, request));
        EXPECT_TRUE(run_process({"bash", "-n", path}, 300).ok());
        const ProcessResult result = run_process({"shellcheck", path}, 60);
        checked = checked && result.found;
        EXPECT_TRUE(result.ok() || !result.found) << result.output << read_text_file(path);
      }
  if (!checked) GTEST_SKIP() << "shellcheck is not installed; bash -n found nothing";
}

// Runs the script of a stage, or task 1 of an array, with fake launchers.
struct Outcome {
  ProcessResult result;
  std::vector<Call> calls;
};

Outcome run_script(const FakeSlurm& slurm, const std::string& script, double timeout = 300) {
  slurm.file("job.sbatch", script);
  Outcome outcome;
  outcome.result = run_process({"bash", slurm.folder / "job.sbatch"}, timeout);
  outcome.calls = slurm.calls();
  return outcome;
}

TEST(JobScript, LaunchesTheStageAndEndsTheJobWithTheLaunchersCode) {
  const FakeSlurm slurm;
  slurm.program("srun", read_text_file(slurm.bin() + "/srun") + "\n");
  for (const Launcher launcher : {Launcher::kSrun, Launcher::kMpirun}) {
    slurm.forget_calls();
    const std::string name = launcher == Launcher::kSrun ? "srun" : "mpirun";
    std::string text = read_text_file(slurm.bin() + "/" + name);
    text.replace(text.find("exit 0"), 6, "exit 75");
    slurm.program(name, text);
    const Outcome outcome = run_script(slurm, script_of(small_cluster(launcher)));
    const Call srun = {"srun", "--mpi=pmix", "--kill-on-bad-exit=1", "--unbuffered", "--cpus-per-task=2"};
    const Call mpirun = {"mpirun", "-q", "-n", "4", "--map-by", "ppr:4:node", "--bind-to", "none"};
    Call launch = launcher == Launcher::kSrun ? srun : mpirun;
    for (const char* word : {"nexus", "train", "/runs/a/slurm/campaign.yaml", "--out", "/runs/a", "--until-stage", "s0",
                             "--device", "cpu"})
      launch.push_back(word);
    Call job_end = {"nexus", "slurm", "job-end", "/runs/a", "--code", "75", "--max-requeues", "100"};
    EXPECT_THAT(outcome.calls, ElementsAre(launch, job_end));
  }
}

TEST(JobScript, AnArrayTaskWorksInItsOwnRunFolder) {
  const FakeSlurm slurm;
  JobRequest request = stage_request("/runs/a b");
  request.array = true;
  request.runs = {"/runs/a b", "/runs/c'd", "/runs/e"};
  request.throttle = 2;
  request.until_stage = "";
  const std::string script = job_script(two_stages("/runs/a"), small_cluster(Launcher::kSrun), request);
  EXPECT_THAT(sbatch_options(script), Contains("--array=0-2%2"));
  ::setenv("SLURM_ARRAY_TASK_ID", "1", 1);
  const Outcome outcome = run_script(slurm, script);
  ::unsetenv("SLURM_ARRAY_TASK_ID");
  ASSERT_EQ(outcome.calls.size(), 2u);
  EXPECT_THAT(outcome.calls[0], AllOf(Contains("/runs/c'd/slurm/campaign.yaml"), Not(Contains("--until-stage"))));
  EXPECT_THAT(outcome.calls[1], Contains("/runs/c'd"));
}

// The launcher saves for a second after USR2; the script must wait for it, and pass its code on.
TEST(JobScript, ASignalIsPassedOnAndTheScriptWaitsForTheSave) {
  for (const char* signal : {"USR2", "TERM"}) {
    const FakeSlurm slurm;
    std::string text = read_text_file(slurm.bin() + "/mpirun");
    text.replace(text.find("exit 0"), 6,
                 "trap 'sleep 1; exit 75' USR2\nkill -" + std::string(signal) +
                     " $PPID\nfor ((i = 0; i < 2000; ++i)); do sleep 0.1; done\n");
    slurm.program("mpirun", text);
    const Outcome outcome = run_script(slurm, script_of(small_cluster(Launcher::kMpirun)));
    ASSERT_EQ(outcome.calls.size(), 2u) << outcome.result.errors;
    EXPECT_THAT(outcome.calls[1], Contains("75"));
  }
}

TEST(JobScript, ASignalUnderSrunDoesNotEndTheScript) {
  const FakeSlurm slurm;
  std::string text = read_text_file(slurm.bin() + "/srun");
  text.replace(text.find("exit 0"), 6, "kill -TERM $PPID; sleep 0.5; kill -USR2 $PPID; sleep 0.5; exit 75");
  slurm.program("srun", text);
  const Outcome outcome = run_script(slurm, script_of(small_cluster(Launcher::kSrun)));
  ASSERT_EQ(outcome.calls.size(), 2u);
  EXPECT_THAT(outcome.calls[1], Contains("75"));
}

// By way of `slurm job-end`, which may find another node.
TEST(JobScript, MissingModulesAndFoldersEndTheJobWithoutALaunch) {
  const FakeSlurm slurm;
  std::string text = read_text_file(slurm.bin() + "/module");
  text.replace(text.find("exit 0"), 6, "exit 1");
  slurm.program("module", text);
  ClusterSpec cluster = small_cluster(Launcher::kSrun);
  cluster.modules = {"openmpi"};
  const Call job_end = {"nexus", "slurm", "job-end", "/runs/a", "--code", "74", "--max-requeues", "100"};
  Outcome outcome = run_script(slurm, script_of(cluster));
  EXPECT_THAT(outcome.calls, ElementsAre(ElementsAre("module", "load", "openmpi"), job_end));
  JobRequest request = stage_request("/runs/a");
  request.folder = slurm.folder / "gone";
  slurm.forget_calls();
  outcome = run_script(slurm, job_script(two_stages("/runs/a"), small_cluster(Launcher::kSrun), request));
  EXPECT_THAT(outcome.calls, ElementsAre(job_end));
}

TEST(JobScript, ARelativeProgramIsFoundWhereverTheScriptStands) {
  ClusterSpec cluster = small_cluster(Launcher::kSrun);
  cluster.nexus = "build it/nexus";
  JobRequest request = stage_request("/runs/a");
  request.folder = "/home/me";
  const std::string script = job_script(two_stages("/runs/a"), cluster, request);
  EXPECT_THAT(script, AllOf(HasSubstr("exec '/home/me/build it/nexus' slurm job-end"),
                            HasSubstr("'/home/me/build it/nexus' train")));
}

}  // namespace
}  // namespace nexus
