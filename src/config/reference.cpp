// The reference files, printed from the tables.
#include "config/cluster.h"
#include "config/config.h"
#include "config/render.h"
#include "config/schema.h"

namespace nexus {
namespace {

// One key with its default, or with an example; commented out where it has no meaning for `spec`.
template <typename Spec>
YamlLine reference_line(const std::string& key, const Field<Spec>& field, const Spec& spec) {
  const std::string reason = field.misplaced ? field.misplaced(spec, ModelConfig{}) : "";
  const std::string value = field.preset.empty() ? field.example : field.preset;
  return {key, value, field.comment + (reason.empty() ? "" : "; " + reason), !reason.empty()};
}

// Builds reference.yaml from the tables of campaigns.
class CampaignReference {
 public:
  std::string write() {
    write_map("", campaign_table(), CampaignSpec{}, all);
    return render_yaml(lines_);
  }

 private:
  static constexpr auto all = [](const auto&) { return true; };

  template <typename Spec, typename Wanted>
  void write_map(const std::string& prefix, const Table<Spec>& table, const Spec& spec, Wanted wanted) {
    for (const Field<Spec>& field : table) {
      const std::string key = prefix + field.key;
      if (field.list == ListKey::kDatasets) {
        write_map(key + ".0.", dataset_table(), DatasetRef{}, all);
      } else if (field.list == ListKey::kStages) {
        write_stages(key);
      } else if (wanted(field)) {
        lines_.push_back(reference_line(key, field, spec));
      }
    }
  }

  // The first stage shows all keys but those of growth; the second shows growth.
  void write_stages(const std::string& key) {
    const auto is_growth = [](const Field<StageSpec>& field) { return field.key.starts_with("grow."); };
    write_map(key + ".0.", stage_table(), StageSpec{}, [&](const auto& field) { return !is_growth(field); });
    const size_t second = lines_.size();
    write_map(key + ".1.", stage_table(), StageSpec{},
              [&](const auto& field) { return field.required() || is_growth(field); });
    lines_[second].value = "s1";  // names are unique
  }

  std::vector<YamlLine> lines_;
};

}  // namespace

std::string reference_yaml() {
  return "# Every key of a campaign file with its default and one comment. Printed by `nexus config reference`.\n"
         "# Numbers take units: K, M, B, T are powers of ten, Ki, Mi, Gi, Ti powers of two. Lengths and periods say "
         "their\n"
         "# unit: 1% (of the stage), 200 steps, 20M (tokens), 30s, 30min, 2h. Tokens are positions of samples, "
         "whatever "
         "the\n"
         "# workload calls them. Keys without a default show an example.\n" +
         CampaignReference().write();
}

std::string cluster_reference_yaml() {
  std::vector<YamlLine> lines;
  for (const Field<ClusterSpec>& field : cluster_table())
    lines.push_back(reference_line(field.key, field, ClusterSpec{}));
  return "# Every key of a cluster file with its default and one comment. Printed by `nexus config reference "
         "--cluster`.\n"
         "# Times say their unit: 90s, 5min, 24h, 20000h. null: not asked for, or not known. Keys without a default "
         "show\n"
         "# an example.\n" +
         render_yaml(lines);
}

}  // namespace nexus
