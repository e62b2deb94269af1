// What a campaign has spent, and whether that is what it may spend.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "campaign/run_lease.h"
#include "spec/campaign_spec.h"

namespace nexus {

// Wall clock of all launches, work that a crash threw away included, times ranks or nodes. Energy and money follow from
// the account's mean power and price; nothing where those are not given.
struct Spending {
  double gpu_hours = 0;  // rank-hours
  double node_hours = 0;
  std::optional<double> kwh;  // gpu_hours * watts_per_gpu * pue
  std::optional<double> money;
};
Spending spending_of(const RunUsage& usage, const AccountSpec& account);

// The first limit that is reached: "gpu_hours 400.2 of 400"; "" if none is.
std::string spent_limit(const Spending& spending, const BudgetSpec& budget);

// "budget gpu_hours 0.57 of 400 | kwh 0.48": limits where they are set. "" without any.
std::string budget_line(const Spending& spending, const BudgetSpec& budget);

nlohmann::json to_json(const Spending& spending);

}  // namespace nexus
