// GPUs by nvidia-smi, and the clock's time service.
#include <fmt/format.h>
#include <sys/timex.h>

#include "doctor/checks.h"
#include "doctor/gpu_facts.h"
#include "system/process.h"

namespace nexus {
namespace {

constexpr double kProgramPatience = 20;

}  // namespace

std::vector<Finding> check_clock() {
  Findings found("clocks");
  const std::string cure = "as root: timedatectl set-ntp true, or start chronyd";
  const ProcessResult result =
      run_process({"timedatectl", "show", "--property=NTPSynchronized", "--value"}, kProgramPatience);
  const std::string said = printable(result.first_line(), 20);
  if (result.ok() && (said == "yes" || said == "no")) {
    if (said == "yes")
      found.ok("timedatectl: the clock is synchronized");
    else
      found.warning("timedatectl: the clock is not synchronized by a time service", cure);
    return found.list();
  }
  // Without systemd the kernel still knows whether somebody keeps its clock.
  struct timex state {};
  const bool kept = ::adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) == 0;
  const std::string absent = result.found ? "timedatectl gives no answer" : "no timedatectl";
  if (kept)
    found.ok(absent + "; the kernel says that the clock is synchronized");
  else
    found.note(
        absent + "; the kernel knows of no time service (in a container or virtual machine the host may keep it)",
        cure);
  return found.list();
}

std::vector<Finding> check_cuda(const std::string& build, int devices) {
  Findings found("cuda");
  const ProcessResult result =
      run_process({"nvidia-smi", kGpuQuery, "--format=csv,noheader,nounits"}, kProgramPatience);
  const std::vector<GpuRow> rows = parse_gpu_rows(result.ok() ? result.output : "");
  if (!result.found)
    found.note("no nvidia-smi in PATH: nothing is known of drivers, ECC and MIG");
  else if (!result.ok())
    found.warning("nvidia-smi does not work: " + printable(result.first_line()),
                  "see whether the driver is loaded: "
                  "cat /proc/driver/nvidia/version");
  found.append(judge_gpu_rows(rows));
  if (build.empty() && !rows.empty())
    found.warning("this nexus was built without CUDA and uses no GPU", "scripts/build cuda, then build-cuda/nexus");
  else if (build.empty())
    found.ok("this nexus was built without CUDA: ranks compute on processors");
  else if (devices == 0)
    found.warning(
        printable(build),
        "on a login node this is as it should be; else nvidia-smi, and ask Slurm for GPUs: --gpus-per-task=1");
  else
    found.ok(printable(build));
  return found.list();
}

}  // namespace nexus
