#include "tensor/box.h"

#include <gtest/gtest.h>

namespace nexus {
namespace {

TEST(Box, CountsItsElements) {
  EXPECT_EQ((Box{2, 3, 4, 5}.count()), 15);
  EXPECT_EQ((Box{2, 3, 4, 5}.end_row()), 5);
  EXPECT_EQ((Box{2, 3, 4, 5}.end_column()), 9);
  EXPECT_TRUE((Box{2, 0, 4, 5}.empty()));
  EXPECT_TRUE((Box{2, 3, 4, 0}.empty()));
  EXPECT_FALSE((Box{2, 1, 4, 1}.empty()));
}

TEST(Box, IntersectsAsRectanglesDo) {
  const Box box{2, 6, 10, 5};
  EXPECT_EQ(intersection(box, box), box);
  EXPECT_EQ(intersection(box, {4, 10, 0, 12}), (Box{4, 4, 10, 2}));
  EXPECT_EQ(intersection({4, 10, 0, 12}, box), (Box{4, 4, 10, 2}));
  EXPECT_EQ(intersection(box, {8, 1, 10, 5}), Box{}) << "touching rows share nothing";
  EXPECT_EQ(intersection(box, {2, 6, 15, 3}), Box{}) << "touching columns share nothing";
  EXPECT_EQ(intersection(box, {0, 1, 0, 1}), Box{});
}

TEST(Box, SeesATensorAsAMatrixOfFlattenedColumns) {
  EXPECT_EQ(whole_box({7}), (Box{0, 7, 0, 1}));
  EXPECT_EQ(whole_box({3, 4, 5}), (Box{0, 3, 0, 20}));
  EXPECT_EQ(row_box({3, 4, 5}, 1, 2), (Box{1, 2, 0, 20}));
}

TEST(Box, FallsApartIntoAtMostThreeBoxesPerRun) {
  const Box box{10, 4, 20, 5};
  for (int64_t begin = 0; begin <= box.count(); ++begin) {
    for (int64_t count = 0; begin + count <= box.count(); ++count) {
      const std::vector<Box> parts = run_boxes(box, begin, count);
      EXPECT_LE(parts.size(), 3u);
      int64_t element = begin;
      for (const Box& part : parts) {
        EXPECT_EQ(intersection(part, box), part);
        for (int64_t row = part.begin_row; row < part.end_row(); ++row)
          for (int64_t column = part.begin_column; column < part.end_column(); ++column)
            EXPECT_EQ((row - 10) * 5 + column - 20, element++) << "run " << begin << "+" << count;
      }
      EXPECT_EQ(element, begin + count);
    }
  }
  EXPECT_EQ(run_boxes(box, 3, 14), (std::vector<Box>{{10, 1, 23, 2}, {11, 2, 20, 5}, {13, 1, 20, 2}}));
}

}  // namespace
}  // namespace nexus
