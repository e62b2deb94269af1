#include "config/read_spec.h"

#include <fmt/format.h>

#include "config/schema.h"
#include "config/table_reader.h"

namespace nexus {
namespace {

constexpr size_t kMaxListItems = 1000;

// Keys of a table that end with `name`, or maps of that name, as a user would write their path.
template <typename Spec>
void add_homes(const Table<Spec>& table, const std::string& prefix, const std::string& name,
               std::vector<std::string>& homes) {
  for (const Field<Spec>& field : table) {
    const bool key = field.key.substr(field.key.rfind('.') + 1) == name;
    const bool section = field.key.substr(0, field.key.find('.')) == name;
    if (key || section) homes.push_back(prefix + (key ? field.key : name));
  }
}

class CampaignReader : public TableReader {
 public:
  ReadSpec read(const Node& root) {
    read_map(root, "", campaign_table(), spec_);
    return {std::move(spec_), std::move(locations_)};
  }

 private:
  const ModelConfig& model() const override { return spec_.model; }

  std::vector<std::string> homes_of(const std::string& name) const override {
    std::vector<std::string> homes;
    add_homes(campaign_table(), "", name, homes);
    add_homes(stage_table(), "stages.0.", name, homes);
    return homes;
  }

  void read_list(ListKey list, const Node* node, const std::string& key) override {
    if (node == nullptr || node->kind == Node::Kind::kNull) return;
    if (node->kind != Node::Kind::kList)
      refuse(node->location, key, fmt::format("{} is {}, not a list", key, describe(*node)), "write a list of maps");
    if (node->children.size() > kMaxListItems)
      refuse(node->location, key, fmt::format("{} has more than {} items", key, kMaxListItems), "shorten the list");
    for (size_t i = 0; i < node->children.size(); ++i) {
      const Node& item = node->children[i];
      const std::string path = fmt::format("{}.{}", key, i);
      if (item.kind != Node::Kind::kMap)
        refuse(item.location, path, fmt::format("{} is {}, not a map", path, describe(item)),
               "write {KEY: VALUE, ...}");
      if (list == ListKey::kStages)
        read_map(item, path + ".", stage_table(), spec_.stages.emplace_back());
      else
        read_map(item, path + ".", dataset_table(), spec_.data.train.emplace_back());
    }
  }

  CampaignSpec spec_;
};

}  // namespace

ReadSpec read_spec(const Node& root) {
  return CampaignReader().read(root);
}

}  // namespace nexus
