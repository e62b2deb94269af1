#include "checkpoint/cover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <random>

namespace nexus {
namespace {

using ::testing::HasSubstr;

std::string problem(const std::vector<Box>& boxes, int64_t rows, int64_t columns) {
  return cover_problem("w", boxes, rows, columns);
}

// The definition, element by element.
bool covers(const std::vector<Box>& boxes, int64_t rows, int64_t columns) {
  std::vector<int> held(static_cast<size_t>(rows * columns));
  for (const Box& box : boxes) {
    if (box.end_row() > rows || box.end_column() > columns) return false;
    for (int64_t row = box.begin_row; row < box.end_row(); ++row)
      for (int64_t column = box.begin_column; column < box.end_column(); ++column)
        ++held[static_cast<size_t>(row * columns + column)];
  }
  return std::all_of(held.begin(), held.end(), [](int count) { return count == 1; });
}

// Cuts boxes in two at random places until there are `count`.
std::vector<Box> random_partition(std::mt19937& random, int64_t rows, int64_t columns, size_t count) {
  std::vector<Box> boxes = {{0, rows, 0, columns}};
  while (boxes.size() < count) {
    Box& box = boxes[random() % boxes.size()];
    Box other = box;
    const bool by_row = random() % 2 == 0;
    int64_t& extent = by_row ? box.rows : box.columns;
    if (extent < 2) continue;
    const int64_t cut = 1 + static_cast<int64_t>(random() % static_cast<uint64_t>(extent - 1));
    (by_row ? other.begin_row : other.begin_column) += cut;
    (by_row ? other.rows : other.columns) -= cut;
    extent = cut;
    boxes.push_back(other);
  }
  std::shuffle(boxes.begin(), boxes.end(), random);
  return boxes;
}

// Of this thread's own time, so that it does not count what else the host does.
template <typename Work>
double seconds_of(const Work& work) {
  const auto now = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  const double start = now();
  work();
  return now() - start;
}

TEST(Cover, AcceptsPartitionsInAnyOrderAndNamesWhatAChangeBreaks) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 300; ++trial) {
    const std::vector<Box> boxes = random_partition(random, 17, 23, 2 + random() % 40);
    EXPECT_EQ(problem(boxes, 17, 23), "");
    std::vector<Box> fewer(boxes.begin() + 1, boxes.end());
    EXPECT_THAT(problem(fewer, 17, 23), HasSubstr("are missing"));
    std::vector<Box> more = boxes;
    more.push_back(boxes[0]);
    EXPECT_THAT(problem(more, 17, 23), HasSubstr("are held twice"));
  }
}

TEST(Cover, AgreesWithCountingElementsForEveryKindOfBoxes) {
  std::mt19937 random(4);
  int good = 0;
  const auto small = [&](int64_t most) { return static_cast<int64_t>(random() % static_cast<uint64_t>(most)); };
  for (int trial = 0; trial < 20000; ++trial) {
    std::vector<Box> boxes = random_partition(random, 4, 5, 1 + random() % 8);
    if (trial % 2 == 0) {  // displace, stretch or shrink one
      Box& box = boxes[random() % boxes.size()];
      box.begin_row = std::max<int64_t>(box.begin_row + small(3) - 1, 0);
      box.begin_column = std::max<int64_t>(box.begin_column + small(3) - 1, 0);
      box.rows = std::max<int64_t>(box.rows + small(3) - 1, 1);
      box.columns = std::max<int64_t>(box.columns + small(3) - 1, 1);
    }
    const bool whole = covers(boxes, 4, 5);
    good += whole ? 1 : 0;
    ASSERT_EQ(problem(boxes, 4, 5).empty(), whole) << "trial " << trial << ": " << problem(boxes, 4, 5);
  }
  EXPECT_GT(good, 10000);
  EXPECT_LT(good, 15000) << "both verdicts must occur often";
}

TEST(Cover, AcceptsAPinwheelThatNoStraightCutDivides) {
  const std::vector<Box> pinwheel = {{0, 1, 0, 2}, {0, 2, 2, 1}, {2, 1, 1, 2}, {1, 2, 0, 1}, {1, 1, 1, 1}};
  EXPECT_EQ(problem(pinwheel, 3, 3), "");
  EXPECT_EQ(problem({pinwheel.begin(), pinwheel.end() - 1}, 3, 3), "rows 1 to 2, columns 1 to 2 of 'w' are missing");
}

TEST(Cover, NamesTheRowsAndColumns) {
  EXPECT_EQ(problem({}, 3, 4), "rows 0 to 3 of 'w' are missing");
  EXPECT_EQ(problem({{1, 2, 0, 4}}, 3, 4), "rows 0 to 1 of 'w' are missing");
  EXPECT_EQ(problem({{0, 3, 0, 3}}, 3, 4), "rows 0 to 3, columns 3 to 4 of 'w' are missing");
  EXPECT_EQ(problem({{0, 3, 0, 2}, {0, 3, 1, 3}}, 3, 4), "rows 0 to 3, columns 1 to 2 of 'w' are held twice");
  EXPECT_EQ(problem({{0, 3, 0, 4}, {2, 1, 0, 4}}, 3, 4), "rows 2 to 3 of 'w' are held twice");
  EXPECT_EQ(problem({{0, 4, 0, 4}}, 3, 4), "slices of 'w' reach beyond its last row");
  EXPECT_EQ(problem({{0, 3, 0, 5}}, 3, 4), "slices of 'w' reach beyond its last column");
}

TEST(Cover, OfAHundredThousandBoxesTakesTheTimeOfSortingThem) {
  std::mt19937 random(5);
  const int64_t size = int64_t{1} << 30;
  std::vector<Box> strips, late_hole, late_overlap;
  for (int64_t i = 0; i < 100000; ++i) strips.push_back({0, size, i, i < 99999 ? 1 : size - i});  // all active at once
  for (int64_t i = 0; i < 100000; ++i) late_hole.push_back({i, 1, 0, i < 99999 ? size : size - 1});
  late_overlap = late_hole;
  late_overlap.back() = late_overlap[99998];
  const std::vector<Box> boxes = random_partition(random, size, size, 100000);
  std::vector<Box> sorted = boxes;
  const double sorting = seconds_of([&] {
    std::sort(sorted.begin(), sorted.end(), [](const Box& a, const Box& b) {
      return std::pair(a.begin_row, a.begin_column) < std::pair(b.begin_row, b.begin_column);
    });
  });
  // They take 2 to 12 times as long as that here; five billion pairs would take 300 times as long and more.
  const double most_sorts = 100;
  const auto check = [&](const std::vector<Box>& held, int64_t rows, bool good) {
    EXPECT_LT(seconds_of([&] { EXPECT_EQ(problem(held, rows, size).empty(), good); }), most_sorts * sorting);
  };
  check(boxes, size, true);
  check(strips, size, true);
  check(late_hole, 100000, false);
  check(late_overlap, 100000, false);
}

}  // namespace
}  // namespace nexus
