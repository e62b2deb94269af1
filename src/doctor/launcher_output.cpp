#include "doctor/launcher_output.h"
#include "core/json_text.h"

#include <sstream>

namespace nexus {

LaunchTrouble launch_trouble(std::string_view output) {
  const auto says = [&](std::string_view text) { return output.find(text) != std::string_view::npos; };
  if (says("attempt to run as root")) return LaunchTrouble::kRoot;
  if (says("not enough slots")) return LaunchTrouble::kSlots;
  if (says("result in binding more") || says("could not be bound") || says("binding policy"))
    return LaunchTrouble::kBinding;
  if (says("unrecognized option '--overlap'")) return LaunchTrouble::kOverlap;
  if (says("could not access") || says("execve(): ")) return LaunchTrouble::kAbsent;
  if (says("plm_rsh_agent")) return LaunchTrouble::kNoShell;
  return LaunchTrouble::kNone;
}

std::string probe_line(const WorldFacts& facts) {
  return std::string(kProbeMark) + json_text(world_json(facts)) + "\n";
}

std::string singleton_line(const std::string& why) {
  return std::string(kProbeMark) + json_text(nlohmann::json{{"singleton", why}}) + "\n";
}

ProbeOutput parse_probe_output(std::string_view output) {
  ProbeOutput probe;
  std::istringstream lines{std::string(output)};
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(kProbeMark, 0) != 0) continue;
    try {
      const nlohmann::json document = nlohmann::json::parse(line.substr(kProbeMark.size()));
      if (document.contains("singleton")) {
        ++probe.singletons;
        continue;
      }
      probe.worlds.push_back(world_from_json(document));
      if (probe.worlds.back().ranks.size() == 1) ++probe.singletons;
    } catch (const nlohmann::json::exception&) {  // torn: two processes wrote at once
    }
  }
  return probe;
}

}  // namespace nexus
