#include "campaign/budget.h"

#include <fmt/format.h>

#include <vector>

namespace nexus {
namespace {

struct Item {
  const char* name;
  std::optional<double> used, limit;
};

std::vector<Item> items_of(const Spending& spending, const BudgetSpec& budget) {
  return {{"gpu_hours", spending.gpu_hours, budget.gpu_hours},
          {"node_hours", spending.node_hours, budget.node_hours},
          {"kwh", spending.kwh, budget.kwh},
          {"money", spending.money, budget.money}};
}

}  // namespace

Spending spending_of(const RunUsage& usage, const AccountSpec& account) {
  Spending spending{usage.rank_hours, usage.node_hours, std::nullopt, std::nullopt};
  if (account.watts_per_gpu) spending.kwh = usage.rank_hours * *account.watts_per_gpu * account.pue / 1000;
  if (account.price_per_gpu_hour) spending.money = usage.rank_hours * *account.price_per_gpu_hour;
  return spending;
}

std::string spent_limit(const Spending& spending, const BudgetSpec& budget) {
  for (const Item& item : items_of(spending, budget))
    if (item.limit && item.used && *item.used >= *item.limit)
      return fmt::format("{} {:.4g} of {:.4g}", item.name, *item.used, *item.limit);
  return "";
}

std::string budget_line(const Spending& spending, const BudgetSpec& budget) {
  std::string line;
  bool limited = false;
  for (const Item& item : items_of(spending, budget)) {
    limited = limited || item.limit;
    if (!item.used) continue;
    line += fmt::format("{}{} {:.4g}", line.empty() ? "budget " : " | ", item.name, *item.used);
    if (item.limit) line += fmt::format(" of {:.4g}", *item.limit);
  }
  return limited ? line : "";
}

nlohmann::json to_json(const Spending& spending) {
  nlohmann::json figures = {{"gpu_hours", spending.gpu_hours}, {"node_hours", spending.node_hours}};
  if (spending.kwh) figures["kwh"] = *spending.kwh;
  if (spending.money) figures["money"] = *spending.money;
  return figures;
}

}  // namespace nexus
