// Cluster files (configs/clusters/*.yaml): read and checked like campaign files, by a table of their own. Every mistake
// is ErrorKind::kConfig: "WHAT; cluster.yaml:12 key max_time; do THIS".
#pragma once

#include <string>

#include "spec/cluster_spec.h"

namespace nexus {

ClusterSpec load_cluster(const std::string& file);
// The same for one document in memory; `source` names it in messages.
ClusterSpec load_cluster_text(const std::string& text, const std::string& source);

// A document with every key that has a meaning, which loads to the same cluster.
std::string cluster_yaml(const ClusterSpec& cluster);

// configs/clusters/reference.yaml: every key with its default and one comment.
std::string cluster_reference_yaml();

}  // namespace nexus
