// Slurm's queue of this user, and which of its jobs belong to a run folder. Slurm's commands are spawned by argv.
#pragma once

#include <string>
#include <vector>

#include "slurm/job_book.h"
#include "system/process.h"

namespace nexus {

struct QueuedJob {
  std::string id;     // "123", or "123_4" for a task of an array
  std::string state;  // Slurm's long name: PENDING, RUNNING, COMPLETING, ...
  std::string reason, elapsed, left, start, nodes, excluded_nodes, comment;

  bool live() const;  // waits, runs or ends; not: has ended
};

// Runs one of Slurm's commands. Throws ErrorKind::kConfig where it is not installed and ErrorKind::kIo where it fails,
// with what it said.
ProcessResult run_slurm(const std::vector<std::string>& arguments);

// All jobs of this user that Slurm still knows, array tasks one by one. Errors: as run_slurm.
std::vector<QueuedJob> read_queue();

// Whether Slurm's id names a booked job: "123_4" and "123" are both of the array "123".
bool is_of_job(const std::string& queued_id, const std::string& booked_id);

// The jobs among `queue` that were submitted for this run folder: by their comment, or, as tasks of an array that
// belongs to another folder, by id and comment. A folder that was copied has not inherited the jobs.
std::vector<QueuedJob> jobs_of_run(const std::vector<QueuedJob>& queue, const std::string& run, const JobBook& book);

// "s240" of "nexus:0123:s240" and of "nexus:0123:s240/failed-7-2", where `slurm job-end` has left a note.
std::string name_of_comment(const std::string& comment);

// "123 s240 RUNNING, 124 s440 PENDING"
std::string describe(const std::vector<QueuedJob>& jobs);

}  // namespace nexus
