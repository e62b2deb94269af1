// What a run folder's records say has been committed, held against the checkpoints that are there. Checkpoints that
// vanish (a purged scratch, a file system that is not mounted) must not make a run begin anew in silence.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/run_folder.h"
#include "records/json_lines.h"

namespace nexus {

struct KnownCommits {
  // Of the line of descent that the ledger tells, since the run has last begun: (index of the stage, step) -> the
  // checkpoint's path inside the run folder.
  std::map<Position, std::string> ledger;
  int64_t of_leases = 0;        // commits that launches have claimed, or seen, since then
  bool ledger_is_gone = false;  // there are steps, and no ledger that would tell whether they were committed
  bool any() const { return !ledger.empty() || of_leases > 0 || ledger_is_gone; }
};

// Lines that are torn or no records are left out.
KnownCommits read_known_commits(const RunFolder& run);

// The highest generation that any launch has recorded, in run.json or in its records; 0: none. Leases may be lost.
// Throws ErrorKind::kData where run.json is malformed.
int64_t recorded_generation(const RunFolder& run);

// `newest`: the checkpoint that --resume auto has found, or "". Throws ErrorKind::kCheckpoint where the records know of
// a later commit whose checkpoint is gone, though nobody has set it aside as damaged.
void refuse_vanished_checkpoints(const RunFolder& run, const std::string& newest);

// For --resume never: throws ErrorKind::kConfig where there are checkpoints; otherwise sets the records of what there
// was aside (train/earlier_records.h), so that the run begins with a new id.
void begin_anew(const RunFolder& run);

}  // namespace nexus
