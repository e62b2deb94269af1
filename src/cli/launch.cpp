#include "cli/launch.h"

#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "campaign/slurm_job.h"
#include "campaign/stale_slurm.h"
#include "cli/thread_check.h"
#include "comm/exit_guard.h"
#include "core/host.h"
#include "core/log.h"
#ifdef NEXUS_CUDA
#include "cuda/cuda_backend.h"
#include "cuda/devices.h"
#endif

namespace nexus {
namespace {

constexpr std::chrono::seconds kPatience{3};

int int_from_environment(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? 0 : std::atoi(text);
}

// Ranks of this job on this node, as the launcher tells: Open MPI, then Slurm ("2" or "2(x3),1": the first number
// serves).
int ranks_on_node() {
  for (const char* name : {"OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_STEP_TASKS_PER_NODE"})
    if (const int ranks = int_from_environment(name); ranks > 0) return ranks;
  return 1;
}

#ifdef NEXUS_CUDA
// Where timed choices of kernels are remembered between runs.
std::string cache_folder() {
  for (const auto& [variable, below] :
       {std::pair{"NEXUS_CACHE", ""}, std::pair{"XDG_CACHE_HOME", "/nexus"}, std::pair{"HOME", "/.cache/nexus"}})
    if (const char* folder = std::getenv(variable); folder != nullptr && *folder != '\0')
      return std::string(folder) + below;
  return "";
}

// Ranks of a node take its GPUs in turn. A launcher may also have given each rank its own (then it sees just one).
int device_of_rank(Communicator& world) {
  const std::vector<std::string> hosts = world.all_gather_text(host_name());
  int local_rank = 0;
  for (int rank = 0; rank < world.rank(); ++rank)
    local_rank += hosts[static_cast<size_t>(rank)] == hosts[static_cast<size_t>(world.rank())] ? 1 : 0;
  const auto visible = static_cast<int>(cuda_devices().size());
  if (visible <= 1 || local_rank < visible) return visible <= 1 ? 0 : local_rank;
  throw Error(
      ErrorKind::kConfig,
      fmt::format("rank {} is number {} on its node, which shows {} GPUs", world.rank(), local_rank + 1, visible),
      "--device cuda", "start one rank per GPU");
}

// NCCL's sums through NVLink multicast (NVLS) differ from call to call; what the user has set stands.
void ask_nccl_for_fixed_sums() {
  if (std::getenv("NCCL_ALGO") == nullptr) setenv("NCCL_NVLS_ENABLE", "0", 0);
}

Device open_cuda(bool deterministic, std::unique_ptr<Communicator> world) {
  omp_set_num_threads(threads_per_rank());  // of what the host still does: initial weights, digests
  if (deterministic) ask_nccl_for_fixed_sums();
  std::unique_ptr<Backend> backend = make_cuda_backend({device_of_rank(*world), deterministic, cache_folder()});
  std::unique_ptr<Communicator> devices = make_nccl_communicator(std::move(world), *backend);
  return {std::move(backend), std::move(devices)};
}
#else
Device open_cuda(bool, std::unique_ptr<Communicator>) {
  throw Error(ErrorKind::kConfig, "this nexus was built without CUDA", "--device cuda",
              "build the preset `cuda` (scripts/build cuda), or use --device cpu");
}
#endif

}  // namespace

Device open_device(const std::string& device, bool deterministic, std::unique_ptr<Communicator> world) {
  warn_of_threads(*world, threads_per_rank());
  if (device == "cpu") return {make_cpu_backend(threads_per_rank()), std::move(world)};
  if (device == "cuda") return open_cuda(deterministic, std::move(world));
  throw Error(ErrorKind::kConfig, "unknown device '" + device + "'", "--device", "use cpu or cuda");
}

int threads_per_rank() {
  if (const std::optional<int> threads = threads_from_environment()) return *threads;
  cpu_set_t set;
  CPU_ZERO(&set);
  const int bound = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  const auto online = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  return bound < online ? bound : std::max(1, online / ranks_on_node());
}

int run_under_mpi(const std::function<int(std::unique_ptr<Communicator>)>& body,
                  const std::function<void(const std::string&, const LaunchEnd&)>& on_error) {
  leave_out_stale_slurm();
  MpiSession session(nullptr, nullptr);
  std::unique_ptr<Communicator> world = session.world();
  const int rank = world->rank(), size = world->size();
  set_log_rank(rank);
  std::string text;
  LaunchEnd end;
  try {
    if (const std::string trouble = singleton_trouble(size); !trouble.empty())
      throw Error(ErrorKind::kConfig, trouble, "srun",
                  "use srun --mpi=pmix, or mpirun inside the allocation; `nexus doctor mpi` says which one works");
    return body(std::move(world));
  } catch (const Error& error) {
    text = error.what();
    end = end_of(error);
  } catch (const std::exception& error) {
    text = std::string(error.what()) + "; ; this is a bug in nexus: please report it";
    end = end_of_current_exception();
  }
  if (rank != 0) std::this_thread::sleep_for(kPatience);  // rank 0 ends the job meanwhile if it knows of the error
  print_error(text, rank);
  try {
    if (on_error) on_error(rank == 0 ? text : fmt::format("rank {}: {}", rank, text), end);
  } catch (const std::exception&) {  // the error that is being reported is the one that matters
  }
  const int code = to_int(end.exit);
  guard_exit_code(code);  // what is still to end is not ours
  if (size > 1) MpiSession::abort(code);
  return code;
}

void print_error(const std::string& text, int rank) {
  std::fflush(stdout);  // the error is the last line, also where both go to one file
  if (rank == 0)
    std::fprintf(stderr, "nexus: error: %s\n", text.c_str());
  else
    std::fprintf(stderr, "nexus: error: rank %d: %s\n", rank, text.c_str());
}

}  // namespace nexus
