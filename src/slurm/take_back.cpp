#include "slurm/take_back.h"

#include "core/error.h"
#include "slurm/submit.h"
#include "system/clock.h"
#include "system/shell_quote.h"

namespace nexus {
namespace {

// "123" of "123_4": the tasks of an array are submitted, and cancelled, together.
std::string job_of(const std::string& id) {
  return id.substr(0, id.find('_'));
}

std::string joined(const std::vector<std::string>& ids) {
  return fmt::format("{}", fmt::join(ids, ", "));
}

std::vector<std::string> without(const std::set<std::string>& ids, const std::set<std::string>& others) {
  std::vector<std::string> left;
  for (const std::string& id : ids)
    if (!others.contains(id)) left.push_back(id);
  return left;
}

}  // namespace

TakeBack::TakeBack(std::string run, const std::vector<QueuedJob>& queue, double look_again_seconds)
    : run_(std::move(run)), look_again_seconds_(look_again_seconds) {
  for (const QueuedJob& job : queue) before_.insert(job_of(job.id));
}

void TakeBack::find() {
  for (const QueuedJob& job : read_queue())
    if (job.live() && job.comment.starts_with(token_of(run_) + ":") && !before_.contains(job_of(job.id)))
      known_.insert(job_of(job.id));
}

void TakeBack::cancel_known() {
  const std::vector<std::string> left = without(known_, cancelled_);
  cancel_ids(left);
  cancelled_.insert(left.begin(), left.end());
}

TakenBack TakeBack::cancel() {
  std::string trouble;
  const auto attempt = [&](void (TakeBack::*part)()) {
    try {
      (this->*part)();
    } catch (const Error& error) {
      if (trouble.empty()) trouble = fmt::format("{}: {}", error.where(), error.fact());
    }
  };
  for (const bool again : {false, true}) {
    if (again) sleep_seconds(look_again_seconds_);
    trouble.clear();  // the second look sees all that the first has missed
    attempt(&TakeBack::find);
    attempt(&TakeBack::cancel_known);  // what is known, even where the queue cannot be read
  }
  const std::string cancelled =
      cancelled_.empty() ? "" : "cancelled again: " + joined({cancelled_.begin(), cancelled_.end()});
  if (trouble.empty()) return {cancelled.empty() ? "no job of this chain is in the queue" : cancelled, ""};
  const std::vector<std::string> left = without(known_, cancelled_);
  return {fmt::format("{}{}{} may be left in the queue ({})", cancelled, cancelled.empty() ? "" : ", ",
                      left.empty() ? "jobs whose ids were not read" : joined(left), trouble),
          fmt::format("`nexus slurm cancel {}` finds and ends what is left, once Slurm answers", shell_quote(run_))};
}

}  // namespace nexus
