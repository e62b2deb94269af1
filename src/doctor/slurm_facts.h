// What Slurm's commands print, as data, and what a cluster's settings mean for nexus. Pure functions: no Slurm is
// asked.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "doctor/finding.h"

namespace nexus {

// `scontrol show config`: "KillWait = 30 sec" by name. Lines without " = " are left out.
std::map<std::string, std::string> parse_slurm_config(std::string_view text);
// One record of `scontrol --oneliner show partition|job`: "PartitionName=batch MaxTime=UNLIMITED ...".
std::map<std::string, std::string> parse_slurm_record(std::string_view line);
std::vector<std::map<std::string, std::string>> parse_slurm_records(std::string_view text);
// The number at the beginning of "30 sec"; nothing if there is none.
std::optional<long> leading_number(std::string_view text);

// A line of `sinfo --noheader --format=%R|%a|%l|%D|%t`.
struct SinfoLine {
  std::string partition, available, time_limit;
  long nodes = 0;
  std::string state;  // compact: "idle", "mix", "alloc", "down*", "drain"
};
std::vector<SinfoLine> parse_sinfo(std::string_view text);

// The kinds of MPI that `srun --mpi=list` names (it writes to stderr): "pmix", "pmix_v4", "none".
std::vector<std::string> parse_srun_mpi_list(std::string_view text);

std::vector<Finding> judge_slurm_config(const std::map<std::string, std::string>& config);
std::vector<Finding> judge_slurm_partitions(const std::vector<std::map<std::string, std::string>>& partitions,
                                            const std::map<std::string, std::string>& config);
std::vector<Finding> judge_slurm_nodes(const std::vector<SinfoLine>& lines);
std::vector<Finding> judge_slurm_job(const std::map<std::string, std::string>& job);

}  // namespace nexus
