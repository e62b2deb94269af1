// Nothing in a name or path can run as shell or become an option of sbatch: the script refuses it, or passes it on byte
// for byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <random>

#include "core/files.h"
#include "slurm/job_script.h"
#include "slurm/render.h"
#include "support/expect_error.h"
#include "support/fake_slurm.h"
#include "system/process.h"
#include "unit/slurm/sbatch_reader.h"
#include "unit/slurm/specs.h"

namespace nexus {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;

class HostileText {
 public:
  explicit HostileText(unsigned seed) : random_(seed) {}

  // One to six pieces; with line breaks and other control characters only if `controls`.
  std::string next(bool controls) {
    static const std::vector<std::string> printable = {"a",
                                                       "B",
                                                       "7",
                                                       "'",
                                                       "\"",
                                                       "`touch PWNED`",
                                                       "$(touch PWNED)",
                                                       "; touch PWNED;",
                                                       "${PATH}",
                                                       "$x",
                                                       "\\",
                                                       " ",
                                                       "%",
                                                       "%j",
                                                       "-",
                                                       "--",
                                                       "&",
                                                       "|",
                                                       ">PWNED",
                                                       "<",
                                                       "*",
                                                       "?",
                                                       "[a]",
                                                       "{a,b}",
                                                       "~",
                                                       "!",
                                                       "#",
                                                       "=",
                                                       "@RUNS@",
                                                       "@NEXUS@",
                                                       "\xc3\xa4",
                                                       "\xff",
                                                       "(",
                                                       ")",
                                                       ":",
                                                       ",",
                                                       "^",
                                                       "'\\''",
                                                       "#SBATCH --uid=0"};
    static const std::vector<std::string> control = {
        "\n", "\n#SBATCH --uid=0\n", "\r", "\t", "\x1b[2J", "\x7f", std::string(1, '\0'), "\ntouch PWNED\n"};
    std::string text;
    for (size_t pieces = 1 + random_() % 6; pieces > 0; --pieces)
      text += controls && random_() % 4 == 0 ? control[random_() % control.size()]
                                             : printable[random_() % printable.size()];
    return text;
  }

 private:
  std::mt19937 random_;
};

struct Place {
  const char* name;
  std::function<void(CampaignSpec&, ClusterSpec&, JobRequest&, const std::string&)> put;
};

const std::vector<Place>& places() {
  using C = CampaignSpec;
  using K = ClusterSpec;
  using R = JobRequest;
  using S = std::string;
  static const std::vector<Place> all = {
      {"partition", [](C&, K& k, R&, const S& s) { k.partition = s; }},
      {"account", [](C&, K& k, R&, const S& s) { k.account = s; }},
      {"qos", [](C&, K& k, R&, const S& s) { k.qos = s; }},
      {"constraint", [](C&, K& k, R&, const S& s) { k.constraint = s; }},
      {"reservation", [](C&, K& k, R&, const S& s) { k.reservation = s; }},
      {"gres", [](C&, K& k, R&, const S& s) { k.gpus_per_node = 1, k.gres = s; }},
      {"memory", [](C&, K& k, R&, const S& s) { k.memory = s; }},
      {"srun_mpi", [](C&, K& k, R&, const S& s) { k.srun_mpi = s; }},
      {"module", [](C&, K& k, R&, const S& s) { k.modules = {s}; }},
      {"variable", [](C&, K& k, R&, const S& s) { k.environment[s] = "1"; }},
      {"value", [](C&, K& k, R&, const S& s) { k.environment["A"] = s; }},
      {"option", [](C&, K& k, R&, const S& s) { k.launcher_options = {s}; }},
      {"nexus", [](C&, K& k, R&, const S& s) { k.nexus = s; }},
      {"job name", [](C&, K&, R& r, const S& s) { r.name = s; }},
      {"comment", [](C&, K&, R& r, const S& s) { r.comment = s; }},
      {"stage", [](C&, K&, R& r, const S& s) { r.until_stage = s; }},
      {"folder", [](C&, K&, R& r, const S& s) { r.folder = "/" + s; }},
      {"home", [](C&, K&, R& r, const S& s) { r.home = "/" + s; }},
      {"log", [](C&, K&, R& r, const S& s) { r.log = s; }},
      {"run", [](C&, K&, R& r, const S& s) { r.runs = {"/" + s}; }},
  };
  return all;
}

// As many lines of directives as a tame script has, and no more options than lines: nothing was smuggled in.
TEST(HostileNames, NeverAddDirectivesOrLines) {
  HostileText texts(1);
  int accepted = 0;
  for (const Place& place : places())
    for (int i = 0; i < 400; ++i) {
      CampaignSpec campaign = two_stages("/runs/a");
      ClusterSpec cluster = small_cluster(Launcher::kSrun);
      JobRequest request = stage_request("/runs/a");
      place.put(campaign, cluster, request, "tame");
      const std::string tame = job_script(campaign, cluster, request);
      const std::string hostile = texts.next(i % 2 == 0);
      std::string script;
      try {
        cluster.environment.clear();
        place.put(campaign, cluster, request, hostile);
        script = job_script(campaign, cluster, request);
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kConfig) << place.name << error.what();
        EXPECT_FALSE(error.todo().empty());
        continue;
      }
      ++accepted;
      // An empty optional value, or a variable that is set already, may take a line away.
      EXPECT_LE(std::count(script.begin(), script.end(), '\n'), std::count(tame.begin(), tame.end(), '\n'));
      EXPECT_EQ(sbatch_options(script).size(), sbatch_options(tame).size()) << place.name << ": " << script;
      EXPECT_THAT(sbatch_options(script), Not(Contains("--uid=0")));
      EXPECT_THAT(sbatch_options(script), Contains("--chdir=" + request.home));
    }
  EXPECT_GT(accepted, 600);  // of 8000: five places take any printable text
}

TEST(HostileNames, CampaignAndStageNamesAreRefused) {
  HostileText texts(2);
  for (int i = 0; i < 2000; ++i) {
    const std::string hostile = texts.next(true) + "$";
    CampaignSpec spec = two_stages("/runs/a");
    (i % 2 == 0 ? spec.name : spec.stages[1].name) = hostile;
    EXPECT_NEXUS_ERROR(render_jobs(render_input(spec)), ErrorKind::kConfig,
                       testing::HasSubstr(i % 2 == 0 ? "cannot be a folder name; name; "
                                                     : "cannot be a folder name; stages.1.name; "));
  }
}

// Everything that takes any text, hostile at once, in scripts that are run.
TEST(HostileNames, ReachTheProgramsByteForByte) {
  const FakeSlurm slurm;
  HostileText texts(3);
  const auto file_name = [&texts] {
    std::string text = texts.next(false);
    std::erase(text, '/');
    return "x" + text;
  };
  std::string head = read_text_file(slurm.bin() + "/srun");
  for (const char* name : {"srun", "mpirun"}) {
    std::string text = read_text_file(slurm.bin() + "/" + name);
    text.replace(text.find("exit 0"), 6, "printf '%s\\0' environment \"$A\" \"$PWD\" $'\\n' >>\"$F/calls\"");
    slurm.program(name, text);
  }
  const std::string fake_nexus = read_text_file(slurm.bin() + "/nexus");
  for (int i = 0; i < 250; ++i) {
    slurm.forget_calls();
    ClusterSpec cluster = small_cluster(i % 2 == 0 ? Launcher::kSrun : Launcher::kMpirun);
    JobRequest request = stage_request("/tame");
    cluster.launcher_options = {texts.next(false), "-" + texts.next(false)};
    cluster.environment["A"] = texts.next(false);
    const std::string program = file_name();
    slurm.program(program, fake_nexus);
    cluster.nexus = slurm.bin() + "/" + program;
    request.folder = slurm.folder / file_name();
    std::filesystem::create_directories(request.folder);
    request.runs = {"/" + texts.next(false), "/" + texts.next(false)};
    request.home = request.runs[0];
    request.array = true;
    const std::string script = job_script(two_stages("/runs/a"), cluster, request);
    slurm.file("job.sbatch", script);
    const std::string& run = request.runs[static_cast<size_t>(i % 2)];
    ::setenv("SLURM_ARRAY_TASK_ID", i % 2 == 0 ? "0" : "1", 1);
    const ProcessResult result = run_process({"bash", slurm.folder / "job.sbatch"}, 300);
    ::unsetenv("SLURM_ARRAY_TASK_ID");
    const std::vector<Call> calls = slurm.calls();
    ASSERT_EQ(calls.size(), 3u) << script << result.errors;
    Call launch = i % 2 == 0 ? Call{"srun", "--mpi=pmix", "--kill-on-bad-exit=1", "--unbuffered", "--cpus-per-task=2"}
                             : Call{"mpirun", "-q", "-n", "4", "--map-by", "ppr:4:node", "--bind-to", "none"};
    launch.insert(launch.end(), {cluster.launcher_options[0], cluster.launcher_options[1], cluster.nexus, "train",
                                 run + "/slurm/campaign.yaml", "--out", run, "--until-stage", "s0", "--device", "cpu"});
    EXPECT_EQ(calls[0], launch) << script;
    EXPECT_THAT(calls[1], ElementsAre("environment", cluster.environment["A"], request.folder)) << script;
    EXPECT_THAT(calls[2][0], program);
    EXPECT_THAT(calls[2][3], run);
    EXPECT_EQ(result.errors, "");
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(slurm.folder.path()))
    EXPECT_NE(entry.path().filename(), "PWNED") << entry.path();
}

}  // namespace
}  // namespace nexus
