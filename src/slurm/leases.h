// RUN/lease/*.json as Slurm's side reads them: who worked on a run, and what that has cost (docs/slurm.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nexus {

// One generation: a start of nexus that got as far as opening the run.
struct LeaseRow {
  int64_t generation = 0;
  std::string job;  // empty: not under Slurm
  int64_t restart = 0, ranks = 0, nodes = 0, commit = 0;
  double seconds = 0;
  bool released = false;
};

// By generation. Files that cannot be read are left out: their writer may be at work.
std::vector<LeaseRow> read_leases(const std::string& run);

// Starts of the job in a row, up to the start number `restart` (from 0), that have no lease.
int64_t vain_starts(const std::vector<LeaseRow>& leases, const std::string& job, int64_t restart);

}  // namespace nexus
