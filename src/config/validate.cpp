#include "config/validate.h"

#include "core/error.h"
#include "spec/rules.h"

namespace nexus {

void refuse_where_written(const Locations& locations, const std::function<void()>& rule) {
  try {
    rule();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kConfig) throw;
    refuse(locations.of(error.where()), error.where(), error.fact(), error.todo());
  }
}

std::vector<std::string> validate(CampaignSpec& spec, const Locations& locations) {
  for (size_t i = 0; i < spec.stages.size(); ++i)
    if (const std::string key = stage_key(i, "grow"); !spec.stages[i].grow.grows() && locations.has_any_under(key))
      refuse(locations.of(key), key, "this growth names no new width",
             "add a width that grows (M, A or n_...), or remove grow");
  std::vector<std::string> warnings;
  refuse_where_written(locations, [&] {
    for (const Advice& advice : check_rules(spec))
      warnings.push_back(fmt::format("{}; {} key {}", advice.text, locations.of(advice.key).text(), advice.key));
  });
  for (size_t at = spec.out.find("%name"); at != std::string::npos; at = spec.out.find("%name"))
    spec.out.replace(at, 5, spec.name);  // a name that the rules allow has no %
  return warnings;
}

}  // namespace nexus
