#include "slurm/queue.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "campaign/slurm_job.h"
#include "core/error.h"

namespace nexus {
namespace {

// Slurm's own commands try again for so long where the controller does not answer.
constexpr double kTimeoutSeconds = 120;
// The comment stands last: others' comments may hold anything.
constexpr const char* kSqueueFormat = "%i|%T|%r|%M|%L|%S|%N|%x|%k";
constexpr size_t kFields = 9;

std::vector<std::string> split_fields(const std::string& line) {
  std::vector<std::string> fields;
  size_t begin = 0;
  while (fields.size() + 1 < kFields) {
    const size_t end = line.find('|', begin);
    if (end == std::string::npos) return {};
    fields.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  fields.push_back(line.substr(begin));
  return fields;
}

std::string said(const ProcessResult& result) {
  if (result.timed_out) return fmt::format("no answer within {:.0f} s", kTimeoutSeconds);
  const std::string& text = result.errors.empty() ? result.output : result.errors;
  const std::string line = text.substr(0, text.find('\n'));
  return line.empty() ? fmt::format("exit code {}", result.code) : line;
}

}  // namespace

bool QueuedJob::live() const {
  return !has_ended(state);
}

ProcessResult run_slurm(const std::vector<std::string>& arguments) {
  const ProcessResult result = run_process(arguments, kTimeoutSeconds);
  if (!result.found)
    throw Error(ErrorKind::kConfig, "there is no such program", arguments[0],
                "run this on a node where Slurm's commands are installed");
  if (!result.ok())
    throw Error(ErrorKind::kIo, "Slurm refused: " + said(result), arguments[0],
                "mend what it says, then run the same command again");
  return result;
}

std::vector<QueuedJob> read_queue() {
  const std::string user = fmt::format("--user={}", ::geteuid()), format = fmt::format("--format={}", kSqueueFormat);
  const ProcessResult result = run_slurm({"squeue", "--noheader", "--array", "--states=all", user, format});
  std::vector<QueuedJob> jobs;
  std::istringstream lines(result.output);
  for (std::string line; std::getline(lines, line);) {
    const std::vector<std::string> f = split_fields(line);
    if (!f.empty()) jobs.push_back({f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8]});
  }
  return jobs;
}

bool is_of_job(const std::string& queued_id, const std::string& booked_id) {
  return queued_id == booked_id || queued_id.starts_with(booked_id + "_");
}

std::vector<QueuedJob> jobs_of_run(const std::vector<QueuedJob>& queue, const std::string& run, const JobBook& book) {
  std::error_code ignored;
  const bool own_book = !book.run.empty() && std::filesystem::equivalent(book.run, run, ignored);
  const auto is_booked = [&](const QueuedJob& job) {
    return std::any_of(book.jobs.begin(), book.jobs.end(),
                       [&](const BookedJob& booked) { return is_of_job(job.id, booked.id); });
  };
  const auto is_ours = [&](const QueuedJob& job) {
    return job.comment.starts_with(token_of(run) + ":") ||
           (own_book && !book.token.empty() && job.comment.starts_with(book.token + ":") && is_booked(job));
  };
  std::vector<QueuedJob> ours;
  std::copy_if(queue.begin(), queue.end(), std::back_inserter(ours), is_ours);
  return ours;
}

std::string name_of_comment(const std::string& comment) {
  const std::string name = comment.substr(comment.rfind(':') + 1);
  return name.substr(0, name.find('/'));
}

std::string describe(const std::vector<QueuedJob>& jobs) {
  std::string text;
  for (const QueuedJob& job : jobs)
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", job.id, name_of_comment(job.comment), job.state);
  return text;
}

}  // namespace nexus
