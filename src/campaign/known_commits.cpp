#include "campaign/known_commits.h"

#include <algorithm>
#include <filesystem>

#include "campaign/run_lease.h"
#include "checkpoint/checkpoint.h"
#include "core/error.h"
#include "core/files.h"
#include "core/log.h"
#include "records/eval_record.h"
#include "records/ledger_record.h"
#include "records/run_description.h"
#include "records/step_record.h"
#include "train/earlier_records.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;

// Returns the generation that the run has last begun in; 0 where no record says so.
int64_t read_ledger(const RunFolder& run, KnownCommits& known) {
  int64_t begun = 0;
  Ownership ownership;
  for_each_record(run.ledger(), [&](const JsonRecord& record) {
    if (!ownership.counts(record)) return true;
    const std::string kind = record.kind();
    const Position at = record.position();
    if (kind == kBeginKind) known.ledger.clear();
    if (kind == kBeginKind) begun = ownership.owner();
    if (kind == kResumeKind) known.ledger.erase(known.ledger.upper_bound(at), known.ledger.end());
    if (kind == kResumeKind || kind == CommitRecord::kKind)
      known.ledger[at] = RunFolder{"."}.checkpoint(record.stage(), at.second).substr(2);
    return true;
  });
  return begun;
}

bool has_record(const std::string& path, const std::string& wanted) {
  bool found = false;
  for_each_record(path, [&](const JsonRecord& record) {
    found = wanted.empty() || record.kind() == wanted;
    return !found;
  });
  return found;
}

// Whether a checkpoint was set aside or is being removed, by the names that are left of it.
bool is_accounted_for(const std::string& checkpoint) {
  const fs::path path(checkpoint);
  const std::string step = path.filename().string();
  std::error_code none;
  for (fs::directory_iterator entry(path.parent_path(), none), end; !none && entry != end; entry.increment(none)) {
    const std::string name = entry->path().filename().string();
    if (name == step || name.starts_with(".trash-" + step + "-")) return true;
    if (name.starts_with(step + ".") && name.ends_with(".bad")) return true;
  }
  return false;
}

int64_t count_bad(const RunFolder& run) {
  int64_t count = 0;
  std::error_code none;
  for (fs::recursive_directory_iterator entry(run.checkpoints(), none), end; !none && entry != end;
       entry.increment(none))
    count += entry.depth() == 1 && entry->path().extension() == ".bad" ? 1 : 0;
  return count;
}

[[noreturn]] void refuse_empty(const RunFolder& run, const KnownCommits& known) {
  std::string what = "the run's records hold steps or evaluations, but its ledger and its checkpoints are gone";
  if (!known.ledger.empty())
    what = fmt::format("the run's records know of {} commits, the newest of them {}, but there is no checkpoint",
                       known.ledger.size(), known.ledger.rbegin()->second);
  else if (known.of_leases > 0)
    what = fmt::format("earlier launches have made or found {} commits, but there is no checkpoint", known.of_leases);
  if (const int64_t bad = count_bad(run); bad > 0)
    what += fmt::format(" ({} {} set aside as *.bad)", bad, bad == 1 ? "is" : "are");
  throw Error(ErrorKind::kCheckpoint, what, run.checkpoints(),
              "was a scratch purged, or is a file system not mounted? bring the checkpoints back and run the same "
              "command again, or begin anew with --resume never, which keeps the old records in " +
                  earlier_folder(run));
}

}  // namespace

KnownCommits read_known_commits(const RunFolder& run) {
  KnownCommits known;
  const int64_t begun = read_ledger(run, known);
  for (const LeaseRecord& lease : read_leases(run))
    if (lease.generation >= begun) known.of_leases = std::max(known.of_leases + lease.commits, lease.found);
  const bool has_run = has_record(run.metrics(), StepRecord::kKind) || has_record(run.evals(), EvalRecord::kKind);
  known.ledger_is_gone = has_run && !has_record(run.ledger(), "");
  return known;
}

int64_t recorded_generation(const RunFolder& run) {
  int64_t highest = 0;
  // Every launch writes into the ledger, which is short; metrics are not, and tell as much where it is gone.
  for (const std::string& path : {run.ledger(), run.evals(), path_exists(run.ledger()) ? "" : run.metrics()})
    if (!path.empty())
      for_each_record(path, [&](const JsonRecord& record) {
        highest = std::max(highest, record.generation().value_or(0));
        return true;
      });
  const std::optional<RunDescription> description = RunDescription::read(run);
  return std::max(highest, description ? description->highest_generation() : 0);
}

void refuse_vanished_checkpoints(const RunFolder& run, const std::string& newest) {
  const KnownCommits known = read_known_commits(run);
  if (newest.empty() && known.any()) refuse_empty(run, known);
  if (newest.empty() || known.ledger.empty()) return;
  const auto& [head, path] = *known.ledger.rbegin();
  const std::string inside = fs::path(newest).lexically_relative(run.root).string();
  const auto found = std::find_if(known.ledger.begin(), known.ledger.end(),
                                  [&](const auto& commit) { return commit.second == inside; });
  if (found == known.ledger.end() || found->first == head || is_accounted_for(run.root + "/" + path)) return;
  throw Error(
      ErrorKind::kCheckpoint,
      fmt::format("the run's records know of the commit {}, but its checkpoint is gone, and it was not set aside "
                  "as damaged: the newest that is left is {}",
                  path, inside),
      run.root,
      "bring it back and run the same command again, or train what came after the older one again with "
      "--resume " +
          inside);
}

void begin_anew(const RunFolder& run) {
  if (!list_checkpoints(run).empty())
    throw Error(ErrorKind::kConfig, "the run folder holds checkpoints, and --resume is never", run.root,
                "use --resume auto to continue, another --out, or move checkpoints/ away");
  if (!read_known_commits(run).any()) return;  // then there is nothing but a start that committed nothing
  const std::string kept = set_aside(run, {run.metrics(), run.evals(), run.ledger(), run.root + "/evals",
                                           run.report_folder(), run.config(), run.resolved_config(), run.run_json()});
  warn("the run begins anew, as --resume never says: what was recorded of the former one is kept in {}", kept);
}

}  // namespace nexus
