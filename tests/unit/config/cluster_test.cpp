// Cluster files: every key, what is refused and how, the reference and the examples.
#include "config/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/files.h"
#include "unit/config/config_test_support.h"

namespace nexus::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

const std::string kClusters = NEXUS_SOURCE_DIR "/configs/clusters";

const std::string kCluster =
    "name: big\n"
    "partition: gpu,long\n"
    "account: team-7\n"
    "qos: high@gpu,low\n"
    "constraint: \"[a|b]&c*4,hbm=flat\"\n"
    "reservation: maint_1\n"
    "gpus_per_node: 8\n"
    "gres: gpu:h200\n"
    "tasks_per_node: 4\n"
    "cpus_per_task: 12\n"
    "memory: 512G\n"
    "exclusive: true\n"
    "max_time: 24h\n"
    "launcher: srun\n"
    "srun_mpi: pmix_v4\n"
    "launcher_options: [--cpu-bind=cores, -v]\n"
    "nexus: /opt/nexus 1/bin/nexus\n"
    "modules: [cuda/12.4, openmpi]\n"
    "environment: {OMP_NUM_THREADS: 8, _PATH2: \"a b; $(c)\", EMPTY: \"\"}\n"
    "node_mtbf: 20000h\n"
    "restart: 5min\n"
    "storage_gb_per_s: 2.5\n"
    "watts_per_gpu: 1000\n"
    "price_per_gpu_hour: 2.25\n";

std::string cluster_refusal(const std::string& text) {
  return refusal([&] { load_cluster_text(text, "k.yaml"); });
}

TEST(Cluster, HasWhatSlurmIsAskedFor) {
  const ClusterSpec cluster = load_cluster_text(kCluster, "k.yaml");
  EXPECT_EQ(cluster.name, "big");
  EXPECT_EQ(cluster.partition, "gpu,long");
  EXPECT_EQ(cluster.account, "team-7");
  EXPECT_EQ(cluster.qos, "high@gpu,low");
  EXPECT_EQ(cluster.constraint, "[a|b]&c*4,hbm=flat");
  EXPECT_EQ(cluster.reservation, "maint_1");
  EXPECT_EQ(cluster.gpus_per_node, 8);
  EXPECT_EQ(cluster.gres, "gpu:h200");
  EXPECT_EQ(cluster.tasks_per_node, 4);
  EXPECT_EQ(cluster.cpus_per_task, 12);
  EXPECT_EQ(cluster.memory, "512G");
  EXPECT_TRUE(cluster.exclusive);
  EXPECT_EQ(cluster.max_time_seconds, 86400);
}

TEST(Cluster, HasHowRanksStartAndWhatPlansCountWith) {
  const ClusterSpec cluster = load_cluster_text(kCluster, "k.yaml");
  EXPECT_EQ(cluster.launcher, Launcher::kSrun);
  EXPECT_EQ(cluster.srun_mpi, "pmix_v4");
  EXPECT_THAT(cluster.launcher_options, ElementsAre("--cpu-bind=cores", "-v"));
  EXPECT_EQ(cluster.nexus, "/opt/nexus 1/bin/nexus");
  EXPECT_THAT(cluster.modules, ElementsAre("cuda/12.4", "openmpi"));
  EXPECT_THAT(cluster.environment,
              ElementsAre(Pair("EMPTY", ""), Pair("OMP_NUM_THREADS", "8"), Pair("_PATH2", "a b; $(c)")));
  EXPECT_EQ(cluster.node_mtbf_hours, 20000);
  EXPECT_EQ(cluster.restart_seconds, 300);
  EXPECT_EQ(cluster.storage_bytes_per_second, 2.5e9);
  EXPECT_EQ(cluster.watts_per_gpu, 1000);
  EXPECT_EQ(cluster.price_per_gpu_hour, 2.25);
}

TEST(Cluster, WithANameOnlyIsWhatTheStructSays) {
  const ClusterSpec cluster = load_cluster_text("name: small\n", "k.yaml"), preset;
  EXPECT_EQ(cluster_yaml(cluster), with(cluster_yaml(preset), "name: null", "name: small"));
  EXPECT_EQ(cluster.ranks_per_node(), 1);
  EXPECT_FALSE(cluster.node_mtbf_hours || cluster.restart_seconds || cluster.storage_bytes_per_second ||
               cluster.watts_per_gpu || cluster.price_per_gpu_hour);
}

TEST(Cluster, WrittenOutLoadsToItself) {
  const std::string text = cluster_yaml(load_cluster_text(kCluster, "k.yaml"));
  EXPECT_THAT(text, HasSubstr("constraint: \"[a|b]&c*4,hbm=flat\"\n"));
  EXPECT_THAT(text, HasSubstr("storage_gb_per_s: 2.5\n"));
  EXPECT_EQ(cluster_yaml(load_cluster_text(text, "again.yaml")), text);
}

struct Refused {
  const char *from, *to, *message;
};

// The whole message: file and line, key, reason and cure.
TEST(Cluster, RefusesMistakesWithLineKeyAndCure) {
  for (const Refused& r : std::vector<Refused>{
           {"qos: high@gpu,low", "quality: high", "unknown key 'quality'; k.yaml:4 key quality; "},
           {"partition:", "partion:", "unknown key 'partion'; k.yaml:2 key partion; did you mean partition?"},
           {"qos: high@gpu,low", "name: big", "the key 'name' appears twice (first in line 1)"},
           {"OMP_NUM_THREADS: 8", "A: 1, A: 2", "the key 'A' appears twice (first in line 19)"},
           {"name: big", "name: ../big", "name '../big' cannot be a folder name; k.yaml:1 key name; use 1 to 100"},
           {"name: big\n", "", "name is missing; k.yaml:1 key name; add name: reference"},
           {"max_time: 24h", "max_time: 24", "which has no unit; k.yaml:13 key max_time; write a time"},
           {"max_time: 24h", "max_time: 30m", "max_time is '30m', not a time"},
           {"restart: 5min", "restart: soon", "restart is 'soon', not a time (90s, 5min, 20000h), or null"},
           {"node_mtbf: 20000h", "node_mtbf: 0s", "node_mtbf is '0s', not a time"},
           {"node_mtbf: 20000h", "node_mtbf: [1h]", "node_mtbf is a list, not a time"},
           {"launcher: srun", "launcher: srunn",
            "launcher is 'srunn', not srun or mpirun; k.yaml:14 key launcher; "
            "did you mean srun?"},
           {"gpus_per_node: 8", "gpus_per_node: -1", "gpus_per_node is '-1', not a whole number from 0"},
           {"exclusive: true", "exclusive: yes", "exclusive is 'yes', not true or false"},
           {"storage_gb_per_s: 2.5", "storage_gb_per_s: 0", "not a number above 0"},
           {"modules: [cuda/12.4, openmpi]", "modules: cuda", "modules is 'cuda', not a list"},
           {"[cuda/12.4, openmpi]", "[cuda, -f]", "modules.1 is '-f', an option; k.yaml:18 key modules.1"},
           {"[cuda/12.4, openmpi]", "[cuda, \"\"]", "modules.1 is an empty text"},
           {"[--cpu-bind=cores, -v]", "[{a: b}]", "launcher_options.0 is a map, not a text"}})
    EXPECT_THAT(cluster_refusal(with(kCluster, r.from, r.to)), HasSubstr(r.message)) << r.to;
}

TEST(Cluster, RefusesKeysThatHaveNoMeaning) {
  EXPECT_THAT(cluster_refusal(with(kCluster, "gpus_per_node: 8", "gpus_per_node: 0")),
              HasSubstr("gres has no meaning where gpus_per_node is 0; k.yaml:8 key gres; remove the key"));
  EXPECT_THAT(cluster_refusal(with(kCluster, "launcher: srun", "launcher: mpirun")),
              HasSubstr("srun_mpi belongs to launcher srun; k.yaml:15"));
}

TEST(Cluster, RefusesWordsThatAShellCouldTakeForMore) {
  for (const char* key : {"partition", "account", "qos", "constraint", "reservation", "gres", "memory", "srun_mpi"})
    for (const char* word : {"'a b'", "'a;b'", "'$(a)'", "'`a`'", "\"a'b\"", "'a\"b'", "'a\\b'", "'--a'", "'a#b'",
                             "'a>b'", "'ä'", "''", "[a]", "'a\nb'"}) {
      const std::string text = fmt::format("name: x\ngpus_per_node: 1\n{}: {}\n", key, word);
      EXPECT_THAT(cluster_refusal(text), HasSubstr(fmt::format("key {}; write ", key))) << text;
    }
}

TEST(Cluster, RefusesNamesThatAreNoVariables) {
  for (const char* name : {"1A", "A-B", "A B", "\"A=B\"", "\"\"", "Ä", "A.B", "\"A;B\"", "\"A$(B)\""})
    EXPECT_THAT(cluster_refusal(fmt::format("name: x\nenvironment: {{{}: 1}}\n", name)),
                HasSubstr("cannot name an environment variable; k.yaml:2 key environment; use letters"))
        << name;
  EXPECT_THAT(cluster_refusal("name: x\nenvironment: {A: [1]}\n"), HasSubstr("environment.A is a list, not a text"));
  EXPECT_THAT(cluster_refusal("name: x\nenvironment: {A: }\n"), HasSubstr("environment.A is empty, not a text"));
}

TEST(Cluster, RefusesControlCharactersAnywhere) {
  for (const char* key : {"nexus: ", "modules: [", "launcher_options: [", "environment: {A: ", "environment: {"})
    for (const char* text : {"\"a\\nb\"", "\"a\\x1bb\"", "\"a\\u202eb\"", "\"a\\tb\""})
      EXPECT_THAT(cluster_refusal(fmt::format("name: x\n{}{}", key, text)), HasSubstr("the text holds")) << key << text;
}

TEST(Cluster, RefusesFilesThatAreNoMap) {
  EXPECT_THAT(cluster_refusal("- a\n"), HasSubstr("the file is a list, not a map of keys; k.yaml; see "
                                                  "configs/clusters/reference.yaml for the keys"));
  EXPECT_THAT(refusal([] { load_cluster("/nowhere/k.yaml"); }), HasSubstr("there is no such file"));
}

TEST(ClusterReference, IsWhatTheCodePrintsAndLoads) {
  EXPECT_EQ(read_text_file(kClusters + "/reference.yaml"), cluster_reference_yaml())
      << "run: nexus config reference --cluster > configs/clusters/reference.yaml";
  const ClusterSpec preset = load_cluster_text("name: reference\n", "k.yaml");
  EXPECT_EQ(cluster_yaml(load_cluster(kClusters + "/reference.yaml")), cluster_yaml(preset));
}

TEST(ClusterExamples, AllLoadAndAreNamedAsTheirFiles) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kClusters)) {
    EXPECT_EQ(load_cluster(entry.path().string()).name, entry.path().stem().string());
    ++files;
  }
  EXPECT_GE(files, 3);
}

}  // namespace
}  // namespace nexus::testing
