#include "cli/launch.h"

#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "core/log.h"

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

}  // namespace

std::unique_ptr<Backend> make_backend(const std::string& device) {
  if (device == "cpu") return make_cpu_backend(threads_per_rank());
  if (device == "cuda")
    throw Error(ErrorKind::kConfig, "this release of nexus trains on the CPU only", "--device cuda",
                "use --device cpu");
  throw Error(ErrorKind::kConfig, "unknown device '" + device + "'", "--device", "use cpu or cuda");
}

int threads_per_rank() {
  if (const int threads = int_from_environment("OMP_NUM_THREADS"); threads > 0) return threads;
  cpu_set_t set;
  CPU_ZERO(&set);
  const int bound = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  const auto online = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  return bound < online ? bound : std::max(1, online / ranks_on_node());
}

int run_under_mpi(const std::function<int(std::unique_ptr<Communicator>)>& body,
                  const std::function<void(const std::string&)>& on_error) {
  MpiSession session(nullptr, nullptr);
  std::unique_ptr<Communicator> world = session.world();
  const int rank = world->rank(), size = world->size();
  set_log_rank(rank);
  std::string text;
  int code = 1;
  try {
    return body(std::move(world));
  } catch (const Error& error) {
    text = error.what();
    code = exit_code(error.kind());
  } catch (const std::exception& error) {
    text = std::string(error.what()) + "; ; this is a bug in nexus: please report it";
  }
  if (rank != 0) std::this_thread::sleep_for(kPatience);  // rank 0 ends the job meanwhile if it knows of the error
  print_error(text, rank);
  try {
    if (on_error) on_error(rank == 0 ? text : fmt::format("rank {}: {}", rank, text));
  } catch (const std::exception&) {  // the error that is being reported is the one that matters
  }
  if (size > 1) MpiSession::abort(code);
  return code;
}

void print_error(const std::string& text, int rank) {
  if (rank == 0)
    std::fprintf(stderr, "nexus: error: %s\n", text.c_str());
  else
    std::fprintf(stderr, "nexus: error: rank %d: %s\n", rank, text.c_str());
}

}  // namespace nexus
