#include <fmt/format.h>

#include "config/schema_rows.h"
#include "config/script_values.h"
#include "core/units.h"
#include "spec/cluster_words.h"

namespace nexus {
namespace {

constexpr int64_t kMaxPerNode = 4096;
constexpr double kBytesPerGigabyte = 1e9;

using ClusterRows = Table<ClusterSpec>;

std::string without_gpus(const ClusterSpec& cluster, const ModelConfig&) {
  return cluster.gpus_per_node > 0 ? "" : "has no meaning where gpus_per_node is 0";
}
std::string srun_only(const ClusterSpec& cluster, const ModelConfig&) {
  return cluster.launcher == Launcher::kSrun ? "" : "belongs to launcher srun";
}

void add_resources(ClusterRows& t) {
  const auto add_word = [&t](const char* key, auto member, const char* comment) -> auto& {
    return add(t, key, "null", WordType{signs_of_word(key)}, at(member), kPlacement, comment);
  };
  add_word("partition", &ClusterSpec::partition, "sbatch --partition");
  add_word("account", &ClusterSpec::account, "sbatch --account");
  add_word("qos", &ClusterSpec::qos, "sbatch --qos");
  add_word("constraint", &ClusterSpec::constraint, "sbatch --constraint: features of the nodes");
  add_word("reservation", &ClusterSpec::reservation, "sbatch --reservation");
  add(t, "gpus_per_node", "0", CountType{0, kMaxPerNode}, at(&ClusterSpec::gpus_per_node), kPlacement,
      "GPUs of a node; 0: ranks compute on CPUs");
  add_word("gres", &ClusterSpec::gres, "gpu:h200 asks for --gres=gpu:h200:N; null: for --gpus-per-node=N").misplaced =
      without_gpus;
  add(t, "tasks_per_node", "auto", CountType{1, kMaxPerNode, "auto"}, at(&ClusterSpec::tasks_per_node), kPlacement,
      "ranks of a node; auto: one per GPU, or one on a node without");
  add(t, "cpus_per_task", "1", CountType{1, kMaxPerNode}, at(&ClusterSpec::cpus_per_task), kPlacement,
      "cores of a rank");
  add_word("memory", &ClusterSpec::memory, "sbatch --mem: 512G, 0 for all; null: the cluster's default");
  add(t, "exclusive", "false", FlagType{}, at(&ClusterSpec::exclusive), kPlacement, "whole nodes");
  add(t, "max_time", "never", DurationType{}, at(&ClusterSpec::max_time_seconds), kPlacement,
      "longest time limit of a job; never: none");
}

void add_launch(ClusterRows& t) {
  add(t, "launcher", "srun", ChoiceType<Launcher>{{{"srun", Launcher::kSrun}, {"mpirun", Launcher::kMpirun}}},
      at(&ClusterSpec::launcher), kPlacement, "what starts the ranks inside a job: srun or mpirun");
  add(t, "srun_mpi", "pmix", WordType{signs_of_word("srun_mpi")}, at(&ClusterSpec::srun_mpi), kPlacement,
      "srun --mpi (srun --mpi=list names the choices); null: the cluster's default")
      .misplaced = srun_only;
  add(t, "launcher_options", "[]", TextListType{true}, at(&ClusterSpec::launcher_options), kPlacement,
      "further arguments of the launcher, one each: [--cpu-bind=cores]");
  add(t, "nexus", "nexus", PathType{}, at(&ClusterSpec::nexus), kPlacement, "the program: a name in PATH, or a path");
  add(t, "modules", "[]", TextListType{}, at(&ClusterSpec::modules), kPlacement,
      "environment modules to load, in order: [cuda/12.4, openmpi/5.0.3]");
  add(t, "environment", "{}", EnvironmentType{}, at(&ClusterSpec::environment), kPlacement,
      "variables of the ranks: {OMP_NUM_THREADS: 8}");
}

void add_planning(ClusterRows& t) {
  const RealType positive{0, 1e12, true};
  add(t, "node_mtbf", "null", OptionalDurationType{kSecondsPerHour}, at(&ClusterSpec::node_mtbf_hours), kPlacement,
      "mean time between failures of one node: 20000h");
  add(t, "restart", "null", OptionalDurationType{}, at(&ClusterSpec::restart_seconds), kPlacement,
      "from a failure to the next step: detection, queue, start-up and loading: 5min");
  add(t, "storage_gb_per_s", "null", OptionalRealType{positive, kBytesPerGigabyte},
      at(&ClusterSpec::storage_bytes_per_second), kPlacement,
      "write rate of the file system for a whole job, in GB/s (1e9 bytes)");
  add(t, "watts_per_gpu", "null", OptionalRealType{positive}, at(&ClusterSpec::watts_per_gpu), kPlacement,
      "mean draw of one rank with its share of the node, in W");
  add(t, "price_per_gpu_hour", "null", OptionalRealType{positive}, at(&ClusterSpec::price_per_gpu_hour), kPlacement,
      "of one rank and hour, in any currency");
}

}  // namespace

const ClusterRows& cluster_table() {
  static const ClusterRows table = [] {
    ClusterRows t;
    add(t, "name", "", TextType{}, at(&ClusterSpec::name), kPlacement, "letters, digits, dots, dashes and underscores")
        .example = "reference";
    add_resources(t);
    add_launch(t);
    add_planning(t);
    return t;
  }();
  return table;
}

}  // namespace nexus
