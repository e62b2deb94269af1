#include "campaign/stale_slurm.h"

#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/files.h"
#include "core/log.h"

extern char** environ;

namespace nexus {
namespace {

std::string variable(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? "" : text;
}

bool is_first_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"})
    if (const std::string rank = variable(name); !rank.empty()) return rank == "0";
  return true;
}

// -1 in a user namespace, where this process's number need not be the one that Slurm knows.
int64_t user_as_slurm_knows_it() {
  try {
    std::string words;
    for (const char c : read_text_file("/proc/self/uid_map", 4096))
      if (c != ' ' || (!words.empty() && words.back() != ' ')) words += c;
    return words == "0 0 4294967295\n" ? static_cast<int64_t>(::geteuid()) : -1;
  } catch (const Error&) {
    return -1;
  }
}

std::optional<int64_t> end_time() {
  const std::string text = variable("SLURM_JOB_END_TIME");
  int64_t end = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), end);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return end;
}

void remove_variables() {
  std::vector<std::string> names;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('='));
    if ((name.starts_with("SLURM_") && name != "SLURM_CONF") || name == "SLURMD_NODENAME") names.emplace_back(name);
  }
  for (const std::string& name : names) ::unsetenv(name.c_str());
}

// A step's number of tasks, a node's, a limit: without the job that they are of, they say nothing about this process.
void leave_out_variables_of_no_job() {
  for (const char* name : {"SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE", "SLURM_PROCID", "SLURM_JOB_END_TIME",
                           "SLURM_RESTART_COUNT", "SLURM_JOB_NUM_NODES", "SLURM_LOCALID", "SLURMD_NODENAME"}) {
    if (variable(name).empty()) continue;
    if (is_first_rank())
      warn(
          "{} is set, but SLURM_JOB_ID is not: it is left out with all SLURM_ variables; unset it to hear no more of "
          "it",
          name);
    return remove_variables();
  }
}

}  // namespace

std::string why_stale(const SlurmJob& job, const QueueAnswer& answer, int64_t user, std::optional<int64_t> end,
                      int64_t now) {
  using Kind = QueueAnswer::Kind;
  switch (answer.kind) {
    case Kind::kNoSuchJob: return "Slurm knows no job " + job.id;
    case Kind::kOver: return fmt::format("job {} is over ({})", job.id, answer.state);
    case Kind::kLives:
      return user < 0 || answer.user == user ? "" : fmt::format("job {} is user {}'s", job.id, answer.user);
    case Kind::kNoSlurm:
      return end && *end < now ? "there is no Slurm on this machine, and SLURM_JOB_END_TIME has passed" : "";
    case Kind::kSilent: return "";
  }
  return "";
}

void leave_out_stale_slurm() {
  const std::string id = variable("SLURM_JOB_ID");
  if (id.empty()) return leave_out_variables_of_no_job();
  if (!is_first_rank()) return;
  std::string why = "that is no job's number";
  if (const SlurmJob job = slurm_job()) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    why = why_stale(job, ask_queue(job), user_as_slurm_knows_it(), end_time(),
                    std::chrono::duration_cast<std::chrono::seconds>(now).count());
  }
  if (why.empty()) return;
  warn(
      "SLURM_JOB_ID={} is left out with all SLURM_ variables, as of a shell that has outlived its job: {}; unset "
      "SLURM_JOB_ID to hear no more of it",
      id, why);
  remove_variables();
}

}  // namespace nexus
