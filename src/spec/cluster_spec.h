// A cluster as job scripts and plans see it: what configs/clusters/*.yaml say (docs/slurm.md). `config` fills it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace nexus {

enum class Launcher { kSrun, kMpirun };

struct ClusterSpec {
  std::string name;
  // --- what sbatch is asked for; empty: not asked for
  std::string partition, account, qos, constraint, reservation;
  int64_t gpus_per_node = 0;   // 0: ranks compute on CPUs
  std::string gres;            // "gpu:h200": asked for as --gres=gpu:h200:N; empty: --gpus-per-node=N
  int64_t tasks_per_node = 0;  // 0: one per GPU, or one on a node without
  int64_t cpus_per_task = 1;
  std::string memory;           // --mem, "0" is the whole node; empty: the cluster's default
  bool exclusive = false;       // whole nodes
  double max_time_seconds = 0;  // longest time limit; 0: none
  // --- how the job starts its ranks
  Launcher launcher = Launcher::kSrun;
  std::string srun_mpi = "pmix";              // srun --mpi=
  std::vector<std::string> launcher_options;  // further ones, an argument each
  std::string nexus = "nexus";                // the program on that cluster
  std::vector<std::string> modules;           // `module load`, in order
  std::map<std::string, std::string> environment;
  // --- what plans count with; nothing: unknown, and what needs it is not printed
  std::optional<double> node_mtbf_hours;           // mean time between failures of one node
  std::optional<double> restart_seconds;           // from a failure to the next step: queue, start-up, loading
  std::optional<double> storage_bytes_per_second;  // of the file system, for the whole job
  std::optional<double> watts_per_gpu;             // per rank, its share of the node included
  std::optional<double> price_per_gpu_hour;        // per rank and hour

  int64_t ranks_per_node() const {
    if (tasks_per_node > 0) return tasks_per_node;
    return gpus_per_node > 0 ? gpus_per_node : 1;
  }
};

}  // namespace nexus
