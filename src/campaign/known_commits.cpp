#include "campaign/known_commits.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "campaign/run_lease.h"
#include "checkpoint/checkpoint.h"
#include "core/error.h"
#include "core/files.h"
#include "core/log.h"
#include "train/earlier_records.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Calls `visit` with every record, until it returns false.
void for_each_record(const std::string& path, const std::function<bool(const json&, const std::string& kind)>& visit) {
  if (!path_exists(path)) return;
  std::ifstream file(path);
  if (!file) throw_errno("open", path);  // what cannot be read is not empty
  for (std::string line; std::getline(file, line);) {
    const json record = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!record.is_object() || !record.contains("kind") || !record["kind"].is_string()) continue;
    if (!visit(record, record["kind"])) return;
  }
}

int64_t count_of(const json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}

std::string text_of(const json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_string() ? found->get<std::string>() : "";
}

// Returns the generation that the run has last begun in; 0 where no record says so. As in readers of the records, what
// an older launch has written after a newer one had taken over does not count.
int64_t read_ledger(const RunFolder& run, KnownCommits& known) {
  int64_t begun = 0, owner = 0;
  for_each_record(run.ledger(), [&](const json& record, const std::string& kind) {
    const int64_t generation = record.contains("generation") ? count_of(record, "generation") : owner;
    if (generation < owner) return true;
    if (kind == "begin" || kind == "resume") owner = generation;
    const std::pair at{count_of(record, "stage_index"), count_of(record, "step")};
    if (kind == "begin") known.ledger.clear();
    if (kind == "begin") begun = generation;
    if (kind == "resume") known.ledger.erase(known.ledger.upper_bound(at), known.ledger.end());
    if (kind == "resume" || kind == "commit")
      known.ledger[at] = RunFolder{"."}.checkpoint(text_of(record, "stage"), at.second).substr(2);
    return true;
  });
  return begun;
}

bool has_record(const std::string& path, const std::string& wanted) {
  bool found = false;
  for_each_record(path, [&](const json&, const std::string& kind) {
    found = wanted.empty() || kind == wanted;
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
  const bool has_run = has_record(run.metrics(), "step") || has_record(run.evals(), "eval");
  known.ledger_is_gone = has_run && !has_record(run.ledger(), "");
  return known;
}

int64_t recorded_generation(const RunFolder& run) {
  int64_t highest = 0;
  const auto look = [&highest](const json& record) { highest = std::max(highest, count_of(record, "generation")); };
  // Every launch writes into the ledger, which is short; metrics are not, and tell as much where it is gone.
  for (const std::string& path : {run.ledger(), run.evals(), path_exists(run.ledger()) ? "" : run.metrics()})
    if (!path.empty())
      for_each_record(path, [&](const json& record, const std::string&) {
        look(record);
        return true;
      });
  if (!path_exists(run.run_json())) return highest;
  const json document = json::parse(read_text_file(run.run_json()), nullptr, /*allow_exceptions=*/false);
  if (document.is_object() && document.contains("launches") && document["launches"].is_array())
    for (const json& launch : document["launches"])
      if (launch.is_object()) look(launch);
  return highest;
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
