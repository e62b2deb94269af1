#include "doctor/gpu_facts.h"

#include <fmt/format.h>

#include <cstdlib>
#include <set>
#include <sstream>

#include "system/shell_quote.h"

namespace nexus {
namespace {

// Memory that others hold: above what a driver takes for itself.
constexpr long kBusyMib = 1024;

long number_of(const std::string& text) {
  return std::strtol(text.c_str(), nullptr, 10);
}

void judge_row(const GpuRow& row, Findings& found) {
  const std::string gpu = "GPU " + printable(row.index);
  if (number_of(row.uncorrected) > 0)
    found.problem(
        fmt::format("{} has had {} uncorrected memory errors since the driver started", gpu,
                    number_of(row.uncorrected)),
        "use another GPU, and tell who runs the node: nvidia-smi -q -d ECC -i " + shell_quote(printable(row.index)));
  if (row.ecc == "Disabled")
    found.note(gpu + " runs without ECC: flipped bits go unseen",
               "as root: nvidia-smi -e 1 -i " + shell_quote(printable(row.index)));
  if (row.compute_mode == "Prohibited")
    found.problem(gpu + " is closed to computing (compute mode Prohibited)",
                  "as root: nvidia-smi -c DEFAULT -i " + shell_quote(printable(row.index)));
  if (row.mig == "Enabled")
    found.note(gpu + " is cut into MIG instances: a rank gets one of them, and NCCL does not connect them",
               "one rank per job, or as root: nvidia-smi -mig 0 -i " + shell_quote(printable(row.index)));
  if (number_of(row.used_mib) > kBusyMib)
    found.note(
        fmt::format("{}: {} of {} MiB are in use already", gpu, number_of(row.used_mib), number_of(row.memory_mib)),
        "see by whom: nvidia-smi");
}

}  // namespace

std::vector<GpuRow> parse_gpu_rows(std::string_view text) {
  std::vector<GpuRow> rows;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::vector<std::string> f;
    std::istringstream fields(line);
    for (std::string field; std::getline(fields, field, ',');) {
      const size_t begin = field.find_first_not_of(' ');
      f.push_back(begin == std::string::npos ? "" : field.substr(begin));
    }
    if (f.size() == 10) rows.push_back({f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9]});
  }
  return rows;
}

std::vector<Finding> judge_gpu_rows(const std::vector<GpuRow>& rows) {
  Findings found("cuda");
  if (rows.empty()) return {};
  std::set<std::string> names;
  bool persistent = true;
  for (const GpuRow& row : rows) {
    names.insert(row.name);
    persistent = persistent && row.persistence != "Disabled";
    judge_row(row, found);
  }
  found.ok(fmt::format("driver {}: {} GPU{}, {}, {} MiB", printable(rows[0].driver), rows.size(),
                       rows.size() == 1 ? "" : "s", printable(rows[0].name), printable(rows[0].memory_mib)));
  if (names.size() > 1) found.warning("the GPUs of this node differ: the slowest sets the pace", "nvidia-smi -L");
  if (!persistent)
    found.note("persistence mode is off: the first CUDA call of a job takes seconds", "as root: nvidia-smi -pm 1");
  return found.list();
}

}  // namespace nexus
