#include "doctor/finding.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/exit_code.h"

namespace nexus {

std::string_view name_of(Level level) {
  switch (level) {
    case Level::kOk: return "ok";
    case Level::kNote: return "note";
    case Level::kWarning: return "warning";
    case Level::kProblem: return "problem";
  }
  return "?";
}

Finding& Findings::add(Level level, const std::string& what, const std::string& cure) {
  list_.push_back({area_, level, what, cure, {}});
  return list_.back();
}

int count_of(const std::vector<Finding>& findings, Level level) {
  return static_cast<int>(
      std::count_if(findings.begin(), findings.end(), [&](const Finding& f) { return f.level == level; }));
}

int exit_code_of(const std::vector<Finding>& findings) {
  return count_of(findings, Level::kProblem) > 0 ? to_int(ExitCode::kConfig) : 0;
}

std::string findings_text(const std::vector<Finding>& findings) {
  size_t width = 0;
  for (const Finding& finding : findings) width = std::max(width, finding.area.size());
  std::string text;
  for (const Finding& finding : findings) {
    text += fmt::format("{:<{}}  {:<7}  {}\n", finding.area, width, name_of(finding.level), finding.what);
    if (!finding.cure.empty()) text += fmt::format("{:<{}}  {:<7}  -> {}\n", "", width, "", finding.cure);
  }
  const auto counted = [&](Level level, const char* name) {
    const int count = count_of(findings, level);
    return fmt::format("{} {}{}", count, name, count == 1 ? "" : "s");
  };
  return text + fmt::format("nexus doctor: {}, {}, {}, {} ok\n", counted(Level::kProblem, "problem"),
                            counted(Level::kWarning, "warning"), counted(Level::kNote, "note"),
                            count_of(findings, Level::kOk));
}

nlohmann::json findings_json(const std::vector<Finding>& findings) {
  nlohmann::json list = nlohmann::json::array();
  for (const Finding& finding : findings)
    list.push_back({{"area", finding.area},
                    {"level", name_of(finding.level)},
                    {"what", finding.what},
                    {"cure", finding.cure},
                    {"figures", finding.figures}});
  return {{"findings", list},
          {"problems", count_of(findings, Level::kProblem)},
          {"warnings", count_of(findings, Level::kWarning)}};
}

std::string printable(std::string_view text, size_t most) {
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool blank = c == '\n' || c == '\t' || c == ' ';
    if (blank && (shown.empty() || shown.back() == ' ')) continue;
    if (blank)
      shown += ' ';
    else
      shown += byte < 0x20 || byte >= 0x7F ? '?' : c;  // also what a terminal would take for a command
    if (shown.size() >= most) return shown + "...";
  }
  while (!shown.empty() && shown.back() == ' ') shown.pop_back();
  return shown;
}

}  // namespace nexus
