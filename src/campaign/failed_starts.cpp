#include "campaign/failed_starts.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "core/error.h"

namespace nexus {
namespace {

constexpr std::string_view kMark = "/failed-";  // no job's name has a slash

}  // namespace

int64_t failed_starts(const std::vector<LeaseRecord>& leases, const SlurmJob& job, int64_t found) {
  if (!job) return 0;
  bool others_since = false;
  for (auto lease = leases.rbegin(); lease != leases.rend(); ++lease) {
    if (lease->job.id != job.id) {
      others_since = true;
      continue;
    }
    const bool committed = lease->commits > 0 || (lease->found != -1 && found > lease->found);
    if (committed || others_since) return std::max<int64_t>(job.restart - lease->job.restart - 1, 0);
    if (lease->found != -1) found = lease->found;
  }
  return job.restart;
}

int64_t failed_starts_noted(const std::string& comment, int64_t restart) {
  const size_t mark = comment.find(kMark);
  if (mark == std::string::npos) return 0;
  const std::string text = comment.substr(mark + kMark.size());
  int64_t then = 0, count = 0;
  const char* all = text.data() + text.size();
  const auto first = std::from_chars(text.data(), all, then);
  if (first.ec != std::errc() || first.ptr == all || then != restart - 1) return 0;
  const auto second = std::from_chars(first.ptr + 1, all, count);
  return second.ec == std::errc() ? std::max<int64_t>(count, 0) : 0;
}

std::string comment_with_failed_starts(const std::string& comment, int64_t restart, int64_t failed) {
  return fmt::format("{}{}{}-{}", comment.substr(0, comment.find(kMark)), kMark, restart, failed);
}

}  // namespace nexus
