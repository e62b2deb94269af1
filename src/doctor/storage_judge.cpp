#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "core/units.h"
#include "doctor/storage.h"
#include "statistics/quantiles.h"
#include "system/shell_quote.h"

namespace nexus {
namespace {

// Below these a save of any size is slow: a sync waits for several others, a 10 MB checkpoint takes seconds.
constexpr double kSlowSync = 0.5;
constexpr double kSlowWrite = 20e6;
constexpr int64_t kFewFiles = 1000;

std::string rate_text(double bytes_per_second) {
  return format_bytes(static_cast<int64_t>(bytes_per_second)) + "/s";
}

void judge_kind(const StorageFacts& facts, const StorageOptions& options, Findings& found) {
  if (!facts.mount) {
    found.note("/proc/self/mountinfo does not tell what file system " + facts.folder + " lies on");
    return;
  }
  const Mount& mount = *facts.mount;
  const std::string what = fmt::format("{} lies on {} ({} at {})", printable(facts.folder), printable(mount.type),
                                       printable(mount.source), printable(mount.point));
  const std::string move = "use a folder that all nodes share and that outlives the job, see --out of nexus train";
  switch (storage_kind(mount.type)) {
    case StorageKind::kMemory:
      found.warning(what + ": it is lost with the machine, and takes memory from training", move);
      break;
    case StorageKind::kLayer:
      found.warning(what + ": it is lost with the container, and other nodes do not see it", move);
      break;
    case StorageKind::kLocal:
      if (options.nodes > 1)
        found.warning(fmt::format("{}: of {} nodes, the others may not see it", what, options.nodes),
                      "try it: srun --mpi=pmix nexus doctor fs --run " + shell_quote(facts.folder));
      else
        found.ok(what);
      break;
    case StorageKind::kUnknown: found.note(what + ": nothing is known of that type"); break;
    case StorageKind::kShared: found.ok(what); break;
  }
  for (const char* option : {"nolock", "local_lock=all", "local_lock=flock", "localflock"})
    if (mount.has_option(option))
      found.warning(fmt::format("{} is mounted with {}: a lock holds on one node only", mount.point, option),
                    "start each run folder from one job at a time, or have it mounted with locks of the server");
}

void judge_room(const StorageFacts& facts, const StorageOptions& options, Findings& found) {
  std::string what = format_bytes(facts.free_bytes) + " are free";
  const std::string cure =
      "free some space, lower checkpoint.keep_last, or choose another folder: df -h " + shell_quote(facts.folder);
  const auto figure = static_cast<double>(facts.free_bytes);
  if (options.checkpoint_bytes > 0) {
    what += fmt::format("; the campaign's largest checkpoint takes {}, all it keeps {}",
                        format_bytes(options.checkpoint_bytes), format_bytes(options.kept_bytes));
    const bool one = facts.free_bytes >= options.checkpoint_bytes, all = facts.free_bytes >= options.kept_bytes;
    const Level level = !one ? Level::kProblem : !all ? Level::kWarning : Level::kOk;
    found.add(level, what, all ? "" : cure).figures["free_bytes"] = figure;
  } else {
    found.ok(what).figures["free_bytes"] = figure;
  }
  if (facts.free_files >= 0 && facts.free_files < kFewFiles)
    found.warning(fmt::format("only {} more files can be made there", facts.free_files),
                  "delete small files that nobody needs: df -i " + shell_quote(facts.folder));
}

std::string cure_of_failure(int error, const std::string& folder) {
  switch (error) {
    case ENOSPC: return "free some space: df -h " + shell_quote(folder);
    case EDQUOT: return "free some of your quota: quota -s, or lfs quota -h on Lustre";
    case EROFS: return "choose a folder that is not on a read-only mount: findmnt -T " + shell_quote(folder);
    case EACCES:
    case EPERM: return "choose a folder that you may write to: ls -ld " + shell_quote(folder);
    default: return "choose another folder, or ask who runs the file system: dmesg may say more";
  }
}

void judge_abilities(const StorageFacts& facts, Findings& found) {
  std::string able;
  for (const StorageAbility& ability : facts.abilities) {
    if (ability.reason.empty()) {
      able += (able.empty() ? "" : ", ") + ability.name;
    } else if (ability.needed) {
      found.problem(fmt::format("{} does not work there: {}", ability.name, ability.reason),
                    "choose another file system for runs: saves and locks need it");
    } else {
      found.note(fmt::format("{} does not work there ({}): nexus does without", ability.name, ability.reason));
    }
  }
  if (!able.empty()) found.ok("works: " + able);
}

void judge_speed(const StorageFacts& facts, const StorageOptions& options, Findings& found) {
  if (!facts.fsync_seconds.empty()) {
    const double seconds = median(facts.fsync_seconds);
    const std::string what =
        fmt::format("an fsync of 4 KiB takes {:.2f} ms (median of {})", seconds * 1e3, facts.fsync_seconds.size());
    const bool slow = seconds > kSlowSync;
    found.add(slow ? Level::kWarning : Level::kOk, what, slow ? "save less often: checkpoint.every" : "")
        .figures["fsync_seconds"] = seconds;
  }
  if (facts.write_rates.empty() || facts.read_rates.empty()) return;
  const double write = median(facts.write_rates), read = median(facts.read_rates);
  std::string what =
      fmt::format("one process writes {} with fsync and reads {} (median of {}, {} each)", rate_text(write),
                  rate_text(read), facts.write_rates.size(), format_bytes(options.file_bytes));
  if (options.checkpoint_bytes > 0)
    what += fmt::format("; a checkpoint of {} would take one writer {}", format_bytes(options.checkpoint_bytes),
                        format_seconds(static_cast<double>(options.checkpoint_bytes) / write));
  const bool slow = write < kSlowWrite;
  Finding& speed = found.add(slow ? Level::kWarning : Level::kOk, what,
                             slow ? "save less often (checkpoint.every), or choose a faster folder" : "");
  speed.figures = {{"write_bytes_per_second", write}, {"read_bytes_per_second", read}};
}

}  // namespace

std::vector<Finding> judge_storage(const StorageFacts& facts, const StorageOptions& options) {
  Findings found("fs");
  if (facts.folder != options.folder)
    found.note(fmt::format("{} is seen as {}, or not there yet; tried there", printable(options.folder),
                           printable(facts.folder)));
  judge_kind(facts, options, found);
  judge_room(facts, options, found);
  judge_abilities(facts, found);
  judge_speed(facts, options, found);
  if (!facts.failed.empty())
    found.problem(fmt::format("cannot {} in {}: {}", facts.failed, printable(facts.folder), std::strerror(facts.error)),
                  cure_of_failure(facts.error, facts.folder));
  return found.list();
}

}  // namespace nexus
