#include "campaign/slurm_job.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <vector>

#include "core/process.h"

namespace nexus {
namespace {

// The controller may be busy; training waits meanwhile.
constexpr double kPatienceSeconds = 10;

std::string variable(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? "" : text;
}

std::optional<int64_t> number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

// A task of an array has a number of its own, but the last one to start bears the array's, which names all of them.
std::string name_in_queue(const SlurmJob& job) {
  const std::string array = variable("SLURM_ARRAY_JOB_ID"), task = variable("SLURM_ARRAY_TASK_ID");
  return number(array) && number(task) ? array + "_" + task : job.id;
}

}  // namespace

SlurmJob slurm_job() {
  SlurmJob job;
  job.id = variable("SLURM_JOB_ID");
  if (!number(job.id)) return {};
  job.restart = number(variable("SLURM_RESTART_COUNT")).value_or(0);
  job.nodes = number(variable("SLURM_JOB_NUM_NODES")).value_or(1);
  return job;
}

std::optional<double> parse_slurm_time(std::string_view text) {
  double days = 0;
  if (const size_t dash = text.find('-'); dash != std::string_view::npos) {
    const auto count = number(text.substr(0, dash));
    if (!count) return std::nullopt;
    days = static_cast<double>(*count);
    text.remove_prefix(dash + 1);
  }
  double seconds = 0;
  int fields = 0;
  while (true) {
    const size_t colon = text.find(':');
    const auto count = number(text.substr(0, colon));
    if (!count || ++fields > 3) return std::nullopt;
    seconds = seconds * 60 + static_cast<double>(*count);
    if (colon == std::string_view::npos) break;
    text.remove_prefix(colon + 1);
  }
  if (fields < 2) return std::nullopt;  // squeue always prints minutes and seconds
  return days * 86400 + seconds;
}

std::optional<double> slurm_seconds_left(const SlurmJob& job) {
  if (!job) return std::nullopt;
  const ProcessResult asked =
      run_process({"squeue", "--noheader", "--jobs", name_in_queue(job), "--format", "%L"}, kPatienceSeconds);
  if (asked.ok()) {
    if (const auto left = parse_slurm_time(asked.first_line())) return left;
    if (asked.first_line() == "UNLIMITED") return std::numeric_limits<double>::infinity();
  }
  const auto end = number(variable("SLURM_JOB_END_TIME"));
  if (!end) return std::nullopt;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<double>(*end) - std::chrono::duration<double>(now).count();
}

std::string singleton_trouble(int ranks) {
  const int64_t tasks = number(variable("SLURM_STEP_NUM_TASKS")).value_or(1);
  if (ranks != 1 || tasks <= 1 || !variable("OMPI_COMM_WORLD_SIZE").empty()) return "";
  return fmt::format("srun started {} tasks, and each of them is alone: MPI made no common world", tasks);
}

}  // namespace nexus
