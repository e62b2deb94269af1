#include "config/cluster.h"

#include "config/config_file.h"
#include "config/render.h"
#include "config/table_reader.h"
#include "config/validate.h"
#include "core/run_folder.h"

namespace nexus {
namespace {

class ClusterReader : public TableReader {
 public:
  ClusterSpec read(const Node& root) {
    ClusterSpec cluster;
    read_map(root, "", cluster_table(), cluster);
    refuse_where_written(locations_, [&] { require_safe_name("name", cluster.name); });
    return cluster;
  }

 private:
  // No key of a cluster depends on a model, is a list of maps, or could stand in another place.
  const ModelConfig& model() const override { return model_; }
  void read_list(ListKey, const Node*, const std::string&) override {}
  std::vector<std::string> homes_of(const std::string&) const override { return {}; }

  ModelConfig model_;
};

}  // namespace

ClusterSpec load_cluster(const std::string& file) {
  return load_cluster_text(read_config_file(file), file);
}

ClusterSpec load_cluster_text(const std::string& text, const std::string& source) {
  return ClusterReader().read(parse_config_file(text, source, "configs/clusters/reference.yaml"));
}

std::string cluster_yaml(const ClusterSpec& cluster) {
  std::vector<YamlLine> lines;
  for (const Field<ClusterSpec>& field : cluster_table())
    if (!field.misplaced || field.misplaced(cluster, {}).empty()) lines.push_back({field.key, *field.get(cluster)});
  return render_yaml(lines);
}

}  // namespace nexus
