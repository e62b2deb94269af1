// Where in a campaign something happened: every record of metrics, evaluations and ledger but `begin` says so.
#pragma once

#include <string>

#include "records/json_lines.h"

namespace nexus {

struct RecordPlace {
  std::string stage;
  int64_t stage_index = 0, step = 0;  // steps done in the stage
};

}  // namespace nexus
