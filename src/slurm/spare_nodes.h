// Nodes that a job could have instead of its own, so that one may be left out and the job still starts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nexus {

// `scontrol show hostnames`; an empty list is no nodes. Errors: as run_slurm.
std::vector<std::string> nodes_of_list(const std::string& list);

// Of `listing`, which list_partition printed: nodes that are neither the job's nor excluded, work, and have the
// processors, memory, features and generic resources of one that the job has, so that they suit it as well. Nothing
// where none of the job's own nodes is listed.
std::optional<int64_t> count_spare_nodes(const std::string& listing, const std::vector<std::string>& nodes,
                                         const std::vector<std::string>& excluded);

// What sinfo says of a partition's nodes, a line each. Errors: as run_slurm.
std::string list_partition(const std::string& partition);

}  // namespace nexus
