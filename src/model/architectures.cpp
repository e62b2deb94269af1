// The registry of architectures: a file in architectures/, and a line here.
#include "core/units.h"
#include "model/architecture.h"

namespace nexus {

const Architecture &nexusformer(), &tokenformer(), &transformer();

const std::vector<const Architecture*>& all_architectures() {
  static const std::vector<const Architecture*> all = {&nexusformer(), &tokenformer(), &transformer()};
  return all;
}

const Architecture& architecture(const std::string& name) {
  std::vector<std::string> names;
  for (const Architecture* each : all_architectures()) {
    if (each->name() == name) return *each;
    names.push_back(each->name());
  }
  const std::string near = nearest(name, names);
  throw Error(ErrorKind::kConfig, "unknown architecture '" + name + "'", "model.arch",
              near.empty() ? fmt::format("use one of {}", fmt::join(names, ", ")) : "did you mean " + near + "?");
}

}  // namespace nexus
