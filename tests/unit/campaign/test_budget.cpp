#include <gtest/gtest.h>

#include "campaign/budget.h"

namespace nexus {
namespace {

LeaseRecord launch(double seconds, int64_t ranks, int64_t nodes) {
  LeaseRecord record;
  record.seconds = seconds;
  record.ranks = ranks;
  record.nodes = nodes;
  return record;
}

TEST(Budget, CountsEveryLaunchWithItsRanksAndNodes) {
  const RunUsage usage = usage_of({launch(1800, 8, 1), launch(3600, 16, 2)});
  EXPECT_DOUBLE_EQ(usage.rank_hours, 20);
  EXPECT_DOUBLE_EQ(usage.node_hours, 2.5);
}

TEST(Budget, EnergyAndMoneyFollowFromPowerAndPrice) {
  AccountSpec account;
  EXPECT_FALSE(spending_of({10, 1}, account).kwh);
  account.watts_per_gpu = 700;
  account.pue = 1.5;
  account.price_per_gpu_hour = 2;
  const Spending spending = spending_of({10, 1}, account);
  EXPECT_DOUBLE_EQ(spending.kwh.value(), 10.5);
  EXPECT_DOUBLE_EQ(spending.money.value(), 20);
}

TEST(Budget, IsSpentAtAnyOfItsLimits) {
  Spending spending{10, 2, 5.0, 20.0};
  EXPECT_EQ(spent_limit(spending, {}), "");
  EXPECT_EQ(spent_limit(spending, {10.5, 2.5, 5.5, 20.5}), "");
  EXPECT_EQ(spent_limit(spending, {10.0, {}, {}, {}}), "gpu_hours 10 of 10");
  EXPECT_EQ(spent_limit(spending, {{}, 1.0, {}, {}}), "node_hours 2 of 1");
  EXPECT_EQ(spent_limit(spending, {{}, {}, 4.0, {}}), "kwh 5 of 4");
  EXPECT_EQ(spent_limit(spending, {{}, {}, {}, 4.0}), "money 20 of 4");
}

TEST(Budget, LineShowsWhatIsCountedAndLimited) {
  EXPECT_EQ(budget_line({10, 2, {}, {}}, {}), "");
  EXPECT_EQ(budget_line({10, 2, 5.0, {}}, {400.0, {}, {}, {}}), "budget gpu_hours 10 of 400 | node_hours 2 | kwh 5");
}

}  // namespace
}  // namespace nexus
