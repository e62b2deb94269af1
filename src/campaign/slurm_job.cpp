#include "campaign/slurm_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <sstream>
#include <vector>

#include "core/log.h"
#include "system/clock.h"
#include "system/process.h"

namespace nexus {
namespace {

// The controller may be busy; training waits meanwhile.
constexpr double kPatienceSeconds = 10;

// "345|RUNNING|1000|1:00:00"; false where the line is none of this job.
bool read_line(const std::string& line, const std::string& id, QueueAnswer& answer) {
  std::vector<std::string> fields;
  std::istringstream text(line);
  for (std::string field; std::getline(text, field, '|');) fields.push_back(field);
  if (fields.size() != 4 || fields[0] != id || !slurm_number(fields[2])) return false;
  answer.kind = has_ended(fields[1]) ? QueueAnswer::Kind::kOver : QueueAnswer::Kind::kLives;
  answer.state = fields[1];
  answer.user = *slurm_number(fields[2]);
  answer.seconds_left = parse_slurm_time(fields[3]);
  if (fields[3] == "UNLIMITED") answer.seconds_left = std::numeric_limits<double>::infinity();
  return true;
}

}  // namespace

std::optional<double> parse_slurm_time(std::string_view text) {
  double days = 0;
  if (const size_t dash = text.find('-'); dash != std::string_view::npos) {
    const auto count = slurm_number(text.substr(0, dash));
    if (!count) return std::nullopt;
    days = static_cast<double>(*count);
    text.remove_prefix(dash + 1);
  }
  double seconds = 0;
  int fields = 0;
  while (true) {
    const size_t colon = text.find(':');
    const auto count = slurm_number(text.substr(0, colon));
    if (!count || ++fields > 3) return std::nullopt;
    seconds = seconds * 60 + static_cast<double>(*count);
    if (colon == std::string_view::npos) break;
    text.remove_prefix(colon + 1);
  }
  if (fields < 2) return std::nullopt;  // squeue always prints minutes and seconds
  return days * 86400 + seconds;
}

bool has_ended(std::string_view state) {
  static constexpr std::string_view kEnded[] = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE",      "FAILED",
                                                "NODE_FAIL", "PREEMPTED", "REVOKED",   "OUT_OF_MEMORY", "TIMEOUT"};
  return std::find(std::begin(kEnded), std::end(kEnded), state) != std::end(kEnded);
}

QueueAnswer ask_queue(const SlurmJob& job) {
  using Kind = QueueAnswer::Kind;
  QueueAnswer answer;
  const ProcessResult asked =
      run_process({"squeue", "--noheader", "--jobs", job.id, "--array", "--states=all", "--format", "%A|%T|%U|%L"},
                  kPatienceSeconds);
  answer.kind = asked.found ? Kind::kSilent : Kind::kNoSlurm;
  if (!asked.ok()) {
    if (asked.found && asked.errors.find("Invalid job id") != std::string::npos) answer.kind = Kind::kNoSuchJob;
    return answer;
  }
  if (asked.output.empty()) answer.kind = Kind::kNoSuchJob;
  std::istringstream lines(asked.output);
  for (std::string line; answer.kind != Kind::kLives && std::getline(lines, line);) read_line(line, job.id, answer);
  return answer;
}

std::optional<double> stated_seconds_left() {
  const std::string text = launch_environment().end_time;
  if (text.empty()) return std::nullopt;
  const auto end = slurm_number(text);
  const double now = unix_seconds();
  if (end && static_cast<double>(*end) > now) return static_cast<double>(*end) - now;
  warn("Slurm does not say how long this job may run, and SLURM_JOB_END_TIME is {}: no time limit is known",
       end ? "in the past" : "no time: " + text);
  return std::nullopt;
}

}  // namespace nexus
