// What nvidia-smi prints, as data, and what of it matters to nexus. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "doctor/finding.h"

namespace nexus {

// The fields that are asked for, in the order of GpuRow's members.
constexpr const char* kGpuQuery =
    "--query-gpu=index,name,driver_version,memory.total,memory.used,mig.mode.current,persistence_mode,compute_mode,"
    "ecc.mode.current,ecc.errors.uncorrected.volatile.total";

// One GPU; "[N/A]" where the driver has no answer.
struct GpuRow {
  std::string index, name, driver;
  std::string memory_mib, used_mib;
  std::string mig, persistence, compute_mode, ecc, uncorrected;
};

// Lines of `--format=csv,noheader,nounits`; those with another number of fields are left out.
std::vector<GpuRow> parse_gpu_rows(std::string_view text);
std::vector<Finding> judge_gpu_rows(const std::vector<GpuRow>& rows);

}  // namespace nexus
