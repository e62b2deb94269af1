#include "model/workload.h"

#include <fmt/ranges.h>

#include "core/units.h"

namespace nexus {

const Workload& workload(const std::string& name) {
  std::vector<std::string> names;
  for (const Workload* each : all_workloads()) {
    if (each->name() == name) return *each;
    names.push_back(each->name());
  }
  const std::string near = nearest(name, names);
  throw Error(ErrorKind::kConfig, fmt::format("there is no workload '{}'", name), "model.workload",
              near.empty() ? fmt::format("use {}", fmt::join(names, " or ")) : "did you mean " + near + "?");
}

const std::vector<ModelKey>& Workload::keys() const {
  static const std::vector<ModelKey> none;
  return none;
}

std::vector<NamedDataSet> RunData::named() const {
  std::vector<NamedDataSet> sets;
  for (size_t i = 0; i < train.size(); ++i) sets.push_back({fmt::format("data.train.{}.path", i), &train[i]});
  if (valid) sets.push_back({"data.valid", valid.get()});
  return sets;
}

RunData open_data(const DataOptions& options, const ModelConfig& config, uint64_t seed) {
  const Workload& kind = workload(config.workload);
  std::vector<Sampler::Weighted> sets;
  for (const DatasetRef& each : options.train)
    sets.push_back({kind.open(each.path, options.context, config), each.weight});
  RunData data{Sampler(std::move(sets), seed), nullptr};
  if (!options.valid.empty()) data.valid = kind.open(options.valid, options.context, config);
  return data;
}

}  // namespace nexus
