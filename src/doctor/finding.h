// What `nexus doctor` found: one fact about this machine or allocation, how bad it is, and the command that mends it.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace nexus {

enum class Level {
  kOk,       // as it should be
  kNote,     // nothing to mend, but good to know
  kWarning,  // works, with a risk or slowly
  kProblem   // nexus will not run, or may lose work
};
std::string_view name_of(Level level);

struct Finding {
  std::string area;  // "mpi", "fs", ...
  Level level = Level::kOk;
  std::string what;
  std::string cure;                       // empty where there is nothing to do
  std::map<std::string, double> figures;  // what was measured, in SI units, for programs
};

// The findings of one area, in the order of their checks.
class Findings {
 public:
  explicit Findings(std::string area) : area_(std::move(area)) {}
  Finding& ok(const std::string& what) { return add(Level::kOk, what, ""); }
  Finding& note(const std::string& what, const std::string& cure = "") { return add(Level::kNote, what, cure); }
  Finding& warning(const std::string& what, const std::string& cure) { return add(Level::kWarning, what, cure); }
  Finding& problem(const std::string& what, const std::string& cure) { return add(Level::kProblem, what, cure); }
  Finding& add(Level level, const std::string& what, const std::string& cure);
  void append(const std::vector<Finding>& more) { list_.insert(list_.end(), more.begin(), more.end()); }
  const std::vector<Finding>& list() const { return list_; }

 private:
  std::string area_;
  std::vector<Finding> list_;
};

int count_of(const std::vector<Finding>& findings, Level level);
// 0, or 2 if there is a problem.
int exit_code_of(const std::vector<Finding>& findings);

// Aligned lines, one for a finding and one for its cure, and a last line that counts.
std::string findings_text(const std::vector<Finding>& findings);
// {"findings": [{"area", "level", "what", "cure", "figures"}], "problems", "warnings"}
nlohmann::json findings_json(const std::vector<Finding>& findings);

// Text of other programs or of the machine as it may be shown: one line, no control characters, not too long.
std::string printable(std::string_view text, size_t most = 200);

}  // namespace nexus
