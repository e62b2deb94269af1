#include <set>

#include "spec/batch_layout.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

TEST(BatchLayout, RefusesATokenCountThatDoesNotDivideAndNamesThoseThatDo) {
  EXPECT_NEXUS_ERROR(make_batch_layout({1000, 4}, 64, 0, 2), ErrorKind::kConfig,
                     ::testing::HasSubstr("set it to 512 or 1024,"));
  EXPECT_NEXUS_ERROR(make_batch_layout({100, 4}, 64, 0, 2), ErrorKind::kConfig,
                     ::testing::HasSubstr("set it to 512, or"));
}

TEST(BatchLayout, FitsWhereItCanBeMade) {
  EXPECT_TRUE(batch_fits({1024, 4}, 64, 2));
  EXPECT_FALSE(batch_fits({1000, 4}, 64, 2));
  EXPECT_FALSE(batch_fits({256, 4}, 64, 2));  // less than one pass
  EXPECT_FALSE(batch_fits({0, 4}, 64, 2));
  EXPECT_FALSE(batch_fits({1024, 0}, 64, 2));
}

TEST(BatchLayout, DealsEachSampleOfAStepToOneRank) {
  for (const int ranks : {1, 2, 4}) {
    std::set<int64_t> seen;
    for (int rank = 0; rank < ranks; ++rank) {
      const BatchLayout layout = make_batch_layout({64 * 16, 2}, 64, rank, ranks);
      EXPECT_EQ(layout.samples(), 16);
      for (int64_t index = 0; index < layout.accumulation; ++index)
        for (int64_t row = 0; row < layout.micro; ++row) EXPECT_TRUE(seen.insert(layout.sample(32, index, row)).second);
    }
    EXPECT_EQ(seen.size(), 16u);
    EXPECT_EQ(*seen.begin(), 32);
    EXPECT_EQ(*seen.rbegin(), 47);
  }
}

}  // namespace
}  // namespace nexus
