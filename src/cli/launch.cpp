#include "cli/launch.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "campaign/stale_slurm.h"
#include "cli/gpu.h"
#include "cli/thread_check.h"
#include "comm/exit_guard.h"
#include "core/error.h"
#include "core/log.h"
#include "plan/plan.h"
#include "system/clock.h"
#include "system/launch_environment.h"

namespace nexus {
namespace {

constexpr double kPatienceSeconds = 3;

}  // namespace

Device open_device(const std::string& device, bool deterministic, std::unique_ptr<Communicator> world) {
  warn_of_threads(*world, threads_per_rank());
  if (planned_device(device) == PlannedDevice::kCuda) return open_gpu(deterministic, std::move(world));
  return {make_cpu_backend(threads_per_rank()), std::move(world)};
}

int threads_per_rank() {
  if (const std::optional<int> threads = threads_from_environment()) return *threads;
  cpu_set_t set;
  CPU_ZERO(&set);
  const int bound = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  const auto online = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  return bound < online ? bound : std::max(1, online / launch_environment().ranks_on_node);
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
    return body(std::move(world));
  } catch (const Error& error) {
    text = error.what();
    end = end_of(error);
  } catch (const std::exception& error) {
    text = std::string(error.what()) + "; ; this is a bug in nexus: please report it";
    end = end_of_current_exception();
  }
  if (rank != 0) sleep_seconds(kPatienceSeconds);  // rank 0 ends the job meanwhile if it knows of the error
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
