// Ranks with GPUs that stop making progress in the ways that test_gpu_watchdog.py names. usage: CASE FOLDER
#include <signal.h>

#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include "comm/progress.h"
#include "comm/watchdog.h"
#include "gpu/gpu_ranks.h"

namespace nexus::gpu {
namespace {

constexpr double kLimit = 3;  // seconds
constexpr int kCount = 1 << 20;

void nap(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

[[gnu::noipa]] void sleep_for_ever() {
  for (;;) nap(0.05);
}

struct Work {
  Communicator& world;
  Backend& backend;
  Held<float> x{backend, std::vector<float>(kCount, 1)};
  Held<float> y{backend, std::vector<float>(kCount, 1)};

  void reduce_some() {
    for (int i = 0; i < 20; ++i) world.all_reduce_sum(x);
    backend.synchronize();
  }
  // More launches than the device takes before it has done some: the host is held up in one of them.
  void launch_many() {
    world.all_reduce_sum(x);
    for (int i = 0; i < 100000; ++i) backend.run(ops::Add{y, x});
    backend.synchronize();
  }
};

void stall(Work& work, const std::string& what) {
  work.reduce_some();  // connects, too
  progress::begin_phase(progress::PhaseKind::kSteps, "stage s1 step 12");
  work.reduce_some();
  work.world.barrier();
  if (work.world.rank() == 0) std::printf("BEGIN\n"), std::fflush(stdout);
  if (work.world.rank() == 1) {
    if (what == "stop") ::raise(SIGSTOP);
    if (what == "kill") ::raise(SIGKILL);
    sleep_for_ever();
  }
  if (what == "flood") work.launch_many();
  work.reduce_some();
}

int run(std::unique_ptr<Communicator> hosts, const std::string& what, const std::string& folder) {
  ::signal(SIGTERM, SIG_IGN);  // like the trainer: mpirun sends it to the others when the first rank has left
  WatchdogOptions options{folder, hosts->rank(), hosts->size(), 60, kLimit, {}};
  options.on_timeout = [](const std::string& text) { std::printf("STATUS %s\n", text.c_str()), std::fflush(stdout); };
  const Watchdog watchdog(options);
  const std::unique_ptr<Backend> backend = backend_of(hosts->rank());
  const auto world = make_nccl_communicator(std::move(hosts), *backend);
  Work work{*world, *backend};
  stall(work, what);
  return 0;
}

}  // namespace
}  // namespace nexus::gpu

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  nexus::MpiSession session(&argc, &argv);
  std::unique_ptr<nexus::Communicator> hosts = session.world();
  if (!nexus::gpu::enough_devices(*hosts)) return nexus::gpu::kSkipped;
  try {
    return nexus::gpu::run(std::move(hosts), argv[1], argv[2]);
  } catch (const std::exception& error) {  // as `nexus train` does: another rank may know more
    nexus::gpu::nap(3);
    std::fprintf(stderr, "nexus: error: %s\n", error.what());
    nexus::MpiSession::abort(1);
  }
}
