#include <gtest/gtest.h>

#include "growth/growth_plan.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

ParamTable table_of(int64_t m, int64_t a, int64_t d = 4) {
  ParamTable table;
  ParamSpec w_m, w_a, norm;
  w_m.name = "w_m";
  w_m.axes = {{m, "M", AxisRole::kProduces}, {d, kFixedWidth, AxisRole::kConsumes}};
  w_a.name = "w_a";
  w_a.axes = {{a, "A", AxisRole::kProduces}, {m, "M", AxisRole::kConsumes}};
  norm.name = "norm";
  norm.axes = {{d}};
  table.add(w_m);
  table.add(w_a);
  table.add(norm);
  return table;
}

Fill fill_at(const std::vector<GrowthMove>& moves, int tensor, int64_t row, int64_t column) {
  int hits = 0;
  Fill fill = Fill::kCopy;
  for (const GrowthMove& move : moves)
    if (move.to == tensor && row >= move.row_begin && row < move.row_end && column >= move.column_begin &&
        column < move.column_end) {
      ++hits;
      fill = move.fill;
    }
  EXPECT_EQ(hits, 1) << "tensor " << tensor << " row " << row << " column " << column;
  return fill;
}

TEST(GrowthPlan, CoversEveryEntryOnceAndCountsTheNewOnes) {
  const auto moves = plan_growth(table_of(3, 5), table_of(4, 7), {});
  int64_t entries = 0;
  for (const GrowthMove& move : moves) entries += move.count();
  EXPECT_EQ(entries, table_of(4, 7).count());
  EXPECT_EQ(new_parameters(moves), table_of(4, 7).count() - table_of(3, 5).count());
}

TEST(GrowthPlan, ZeroRowsSilencesProducersAndDrawsConsumers) {
  const auto moves = plan_growth(table_of(3, 5), table_of(4, 7), {});
  EXPECT_EQ(fill_at(moves, 0, 3, 0), Fill::kZero);    // new row of W_M
  EXPECT_EQ(fill_at(moves, 1, 0, 3), Fill::kNormal);  // old row, new column of W_A
  EXPECT_EQ(fill_at(moves, 1, 5, 0), Fill::kZero);    // new row of W_A
  EXPECT_EQ(fill_at(moves, 1, 6, 3), Fill::kZero);    // the corner is zero with its row
  EXPECT_EQ(fill_at(moves, 1, 4, 2), Fill::kCopy);
  EXPECT_EQ(fill_at(moves, 2, 3, 0), Fill::kCopy);
}

TEST(GrowthPlan, OtherPoliciesFillAsTheirNamesSay) {
  GrowthOptions options;
  options.init = GrowthInit::kZeroColumns;
  auto moves = plan_growth(table_of(3, 5), table_of(4, 7), options);
  EXPECT_EQ(fill_at(moves, 0, 3, 0), Fill::kNormal);
  EXPECT_EQ(fill_at(moves, 1, 0, 3), Fill::kZero);
  EXPECT_EQ(fill_at(moves, 1, 6, 3), Fill::kZero);
  options.init = GrowthInit::kZeroAll;
  moves = plan_growth(table_of(3, 5), table_of(4, 7), options);
  EXPECT_EQ(fill_at(moves, 1, 0, 3), Fill::kZero);
  EXPECT_EQ(fill_at(moves, 0, 3, 0), Fill::kZero);
  options.init = GrowthInit::kRandom;
  moves = plan_growth(table_of(3, 5), table_of(4, 7), options);
  EXPECT_EQ(fill_at(moves, 0, 3, 0), Fill::kNormal);
  EXPECT_EQ(fill_at(moves, 1, 6, 3), Fill::kNormal);
}

TEST(GrowthPlan, RefusesToShrinkOrToChangeFixedExtents) {
  EXPECT_NEXUS_ERROR(plan_growth(table_of(4, 5), table_of(3, 5), {}), ErrorKind::kConfig,
                     ::testing::HasSubstr("M would shrink from 4 to 3"));
  EXPECT_NEXUS_ERROR(plan_growth(table_of(3, 5, 4), table_of(3, 5, 6), {}), ErrorKind::kConfig,
                     ::testing::HasSubstr("only the inner widths"));
}

}  // namespace
}  // namespace nexus
