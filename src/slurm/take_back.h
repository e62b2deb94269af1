// Undoes a submission that failed half-way, whether or not sbatch's answers have arrived.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "slurm/queue.h"

namespace nexus {

struct TakenBack {
  std::string outcome;  // which jobs were cancelled, and why some may be left
  std::string todo;     // the command that finds and ends those that may be left; empty: none is
};

class TakeBack {
 public:
  // `queue` is from before the submission: none of its jobs is touched, whatever becomes of it. A controller may take a
  // job in after sbatch has given up, so that the queue is looked at a second time after `look_again_seconds`.
  TakeBack(std::string run, const std::vector<QueuedJob>& queue, double look_again_seconds);

  // A job that this submission has put into the queue.
  void add(const std::string& id) { known_.insert(id); }

  // Cancels the jobs that were added, and all with the run's comment that were not in the queue before. That Slurm's
  // commands fail is no error here but part of the outcome.
  TakenBack cancel();

 private:
  void find();  // adds what the queue shows
  void cancel_known();

  std::string run_;
  double look_again_seconds_;
  std::set<std::string> before_, known_, cancelled_;
};

}  // namespace nexus
