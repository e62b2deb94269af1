// Ranks that stop making progress in the ways that test_watchdog.py names. usage: stall_program CASE FOLDER
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <thread>
#include <vector>

#include "comm/abort_hooks.h"
#include "comm/progress.h"
#include "comm/watchdog.h"
#include "support/mpi_expect.h"

namespace nexus::stall {

using progress::PhaseKind;

void nap(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Named in the stack of the rank that hangs here.
[[gnu::noipa]] void sleep_for_ever() {
  for (;;) nap(0.05);
}

[[gnu::noipa]] void reduce_some(Communicator& comm, int count) {
  std::vector<float> values(20000, 1.0f);
  for (int i = 0; i < count; ++i) comm.all_reduce_sum(Tensor{values.data(), DType::kF32, {20000}});
}

WatchdogOptions options_for(Communicator& world, const std::string& folder, double start, double step) {
  WatchdogOptions options{folder, world.rank(), world.size(), start, step, {}};
  options.on_timeout = [](const std::string& text) { std::printf("STATUS %s\n", text.c_str()), std::fflush(stdout); };
  return options;
}

// Rank 1 does `act` in the middle of a run of all-reduces; the others go on to the next one.
template <typename Act>
void rank_1_acts(Communicator& world, Act act) {
  progress::begin_phase(PhaseKind::kSteps, "stage s1 step 12");
  reduce_some(world, 20);
  if (world.rank() == 1) act();
  reduce_some(world, 20);
}

// Steady signs of life for several times the limit, on a busy machine: far apart enough to tell them from none.
void work_steadily(Communicator& world, double limit) {
  std::atomic<bool> done{false};
  std::vector<std::thread> load;
  for (int i = 0; i < 4; ++i)
    load.emplace_back([&] {
      while (!done) {
      }
    });
  progress::begin_phase(PhaseKind::kSteps, "steady work");
  for (const double end = world.max(now_seconds()) + 3 * limit; world.max(now_seconds()) < end;) {
    nap(limit / 20);
    progress::tick();
  }
  done = true;
  for (std::thread& thread : load) thread.join();
}

volatile sig_atomic_t was_continued = 0;

// Prints its process id, works until it has been stopped and continued, and some time more.
void work_while_being_stopped(double limit) {
  progress::begin_phase(PhaseKind::kSteps, "work");
  ::signal(SIGCONT, [](int) { was_continued = 1; });
  std::printf("PID %d\n", static_cast<int>(::getpid())), std::fflush(stdout);
  const auto work = [&] {
    progress::tick();
    nap(limit / 20);
  };
  while (was_continued == 0) work();
  for (int i = 0; i < 20; ++i) work();
}

void block_in_the_callback(Communicator& world, const std::string& folder) {
  WatchdogOptions options = options_for(world, folder, 1, 1);
  options.on_timeout = [](const std::string&) { sleep_for_ever(); };
  const Watchdog watchdog(options);
  sleep_for_ever();
}

// Every rank leaves FOLDER.hookR behind before it goes.
void stop_with_hooks(Communicator& world, const std::string& folder) {
  ::signal(SIGTERM, SIG_IGN);  // like the trainer: mpirun sends it to the others when the first rank has left
  const AbortHook hook =
      add_abort_hook([path = folder + ".hook" + std::to_string(world.rank())] { std::ofstream(path) << "let go\n"; });
  rank_1_acts(world, [] { sleep_for_ever(); });
}

void stop_with_a_hook_that_hangs(Communicator& world) {
  const AbortHook hook = add_abort_hook([] { sleep_for_ever(); });
  rank_1_acts(world, [] { sleep_for_ever(); });
}

int run(Communicator& world, const std::string& what, const std::string& folder, double limit) {
  if (what == "failsafe") block_in_the_callback(world, folder);
  if (what == "off") {
    const Watchdog watchdog(options_for(world, folder, 0, 0));
    nap(limit);
    return 0;
  }
  if (what == "start") {  // the longer limit holds until a first step is reported
    const Watchdog watchdog(options_for(world, folder, 2 * limit, limit / 2));
    nap(limit);
    std::printf("ALIVE\n"), std::fflush(stdout);
    sleep_for_ever();
  }
  const Watchdog watchdog(options_for(world, folder, 10 * limit, limit));
  if (what == "stop") rank_1_acts(world, [] { ::raise(SIGSTOP); });
  if (what == "skip") rank_1_acts(world, [] { sleep_for_ever(); });
  if (what == "astray")  // rank 1 waits in a collective that the others never call
    rank_1_acts(world, [&] { world.split(0, 0, "other")->barrier(); });
  if (what == "late")  // rank 1's own limit ends later than the others'
    rank_1_acts(world, [limit] {
      nap(0.75 * limit);
      progress::tick();
      sleep_for_ever();
    });
  if (what == "hook") stop_with_hooks(world, folder);
  if (what == "stuck_hook") stop_with_a_hook_that_hangs(world);
  if (what == "steady") work_steadily(world, limit);
  if (what == "continued") work_while_being_stopped(limit);
  return 0;
}

// Seconds; far more than this host, as busy as it is, needs for a step, and not so many that the cases take minutes.
// The same on every rank, and told by rank 0.
double limit_for(Communicator& world) {
  double slowest = 0;
  for (int step = 0; step < 5; ++step) {
    const double begin = now_seconds();
    reduce_some(world, 20);
    slowest = std::max(slowest, now_seconds() - begin);
  }
  const double limit = std::clamp(10 * world.max(slowest), 1.5, 15.0);
  if (world.rank() == 0) std::printf("LIMIT %.3f\n", limit), std::fflush(stdout);
  return limit;
}

}  // namespace nexus::stall

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  nexus::MpiSession session(&argc, &argv);
  const double limit = nexus::stall::limit_for(*session.world());
  const auto world = session.world();
  return nexus::stall::run(*world, argv[1], argv[2], limit);
}
