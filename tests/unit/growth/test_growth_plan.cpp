#include <gtest/gtest.h>

#include "growth/growth_plan.h"
#include "support/expect_error.h"
#include "unit/growth/growth_tables.h"

namespace nexus {
namespace {

using testing::table_of;

// "old", "zero" or "normal": where the entry comes from.
std::string source_of(const std::vector<GrowthMove>& moves, int tensor, int64_t row, int64_t column) {
  int hits = 0;
  std::string source;
  for (const GrowthMove& move : moves) {
    if (move.to != tensor || intersection(move.box, {row, 1, column, 1}).empty()) continue;
    ++hits;
    source = move.entries.are_same() ? "old" : move.entries.std > 0 ? "normal" : "zero";
    EXPECT_EQ(move.is_new, source != "old");
  }
  EXPECT_EQ(hits, 1) << "tensor " << tensor << " row " << row << " column " << column;
  return source;
}

GrowthOptions growth_by(const std::string& policy) {
  GrowthOptions options;
  options.policy = &growth_policy(policy);
  return options;
}

TEST(GrowthPlan, CoversEveryEntryOnceAndCountsTheNewOnes) {
  const auto moves = plan_growth(table_of(3, 5), table_of(4, 7), {});
  int64_t entries = 0;
  for (const GrowthMove& move : moves) entries += move.box.count();
  EXPECT_EQ(entries, table_of(4, 7).count());
  EXPECT_EQ(new_parameters(moves), table_of(4, 7).count() - table_of(3, 5).count());
}

TEST(GrowthPlan, ZeroRowsSilencesProducersAndDrawsConsumers) {
  const auto moves = plan_growth(table_of(3, 5), table_of(4, 7), {});
  EXPECT_EQ(source_of(moves, 0, 3, 0), "zero");    // new row of W_M
  EXPECT_EQ(source_of(moves, 1, 0, 3), "normal");  // old row, new column of W_A
  EXPECT_EQ(source_of(moves, 1, 5, 0), "zero");    // new row of W_A
  EXPECT_EQ(source_of(moves, 1, 6, 3), "zero");    // the corner is zero with its row
  EXPECT_EQ(source_of(moves, 1, 4, 2), "old");
  EXPECT_EQ(source_of(moves, 2, 3, 0), "old");
}

TEST(GrowthPlan, OtherPoliciesFillAsTheirNamesSay) {
  auto moves = plan_growth(table_of(3, 5), table_of(4, 7), growth_by("zero_columns"));
  EXPECT_EQ(source_of(moves, 0, 3, 0), "normal");
  EXPECT_EQ(source_of(moves, 1, 0, 3), "zero");
  EXPECT_EQ(source_of(moves, 1, 6, 3), "zero");
  moves = plan_growth(table_of(3, 5), table_of(4, 7), growth_by("zero_all"));
  EXPECT_EQ(source_of(moves, 1, 0, 3), "zero");
  EXPECT_EQ(source_of(moves, 0, 3, 0), "zero");
  moves = plan_growth(table_of(3, 5), table_of(4, 7), growth_by("random"));
  EXPECT_EQ(source_of(moves, 0, 3, 0), "normal");
  EXPECT_EQ(source_of(moves, 1, 6, 3), "normal");
}

TEST(GrowthPlan, RefusesToShrinkOrToChangeFixedExtents) {
  EXPECT_NEXUS_ERROR(plan_growth(table_of(4, 5), table_of(3, 5), {}), ErrorKind::kConfig,
                     ::testing::HasSubstr("M would shrink from 4 to 3"));
  EXPECT_NEXUS_ERROR(plan_growth(table_of(3, 5, 4), table_of(3, 5, 6), {}), ErrorKind::kConfig,
                     ::testing::HasSubstr("only the inner widths"));
}

}  // namespace
}  // namespace nexus
