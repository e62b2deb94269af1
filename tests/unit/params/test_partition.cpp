// Who owns what: for every grid the ranks' pieces cover every tensor exactly once, and ZeRO-1's buffers hold them
// without gaps or overlap.
#include <gtest/gtest.h>

#include <map>

#include "model/model.h"
#include "params/param_store.h"
#include "support/grid_models.h"

namespace nexus {
namespace {

struct Grid {
  int dp, tp;
  bool zero;
};
const Grid kGrids[] = {{1, 1, false}, {2, 1, false}, {3, 1, true},  {4, 1, true}, {1, 2, false},
                       {2, 2, true},  {3, 4, true},  {5, 2, false}, {4, 4, true}};

template <typename Body>
void for_every_rank(const Grid& grid, const Body& body) {
  for (int dp = 0; dp < grid.dp; ++dp)
    for (int tp = 0; tp < grid.tp; ++tp) body(Sharding{tp, grid.tp, dp, grid.dp, grid.zero, false});
}

TEST(Partition, OwnedPiecesCoverEveryTensorExactlyOnce) {
  for (const testing::NamedModel& named : testing::divisible_models())
    for (const Grid& grid : kGrids) {
      std::map<std::string, std::vector<int>> owners;
      for_every_rank(grid, [&](const Sharding& sharding) {
        const Model model(named.config, sharding);
        for (const ParamPiece& piece : owned_pieces(model.table())) {
          const ParamSpec& spec = model.table()[piece.param];
          std::vector<int>& count = owners.try_emplace(spec.name, static_cast<size_t>(spec.count()), 0).first->second;
          for (int64_t r = piece.box.begin_row; r < piece.box.end_row(); ++r)
            for (int64_t c = piece.box.begin_column; c < piece.box.end_column(); ++c)
              ++count.at(static_cast<size_t>(r * spec.columns() + c));
        }
      });
      const Model whole(named.config);
      ASSERT_EQ(owners.size(), static_cast<size_t>(whole.table().size()));
      for (const auto& [name, count] : owners)
        for (const int owned : count) ASSERT_EQ(owned, 1) << named.name << " " << name;
    }
}

TEST(Partition, StatePiecesFollowEachOtherWithinTheBuffers) {
  for (const Grid& grid : kGrids)
    for_every_rank(grid, [&](const Sharding& sharding) {
      const Model model(testing::divisible_models()[0].config, sharding);
      const ParamTable& table = model.table();
      int64_t end = 0;
      for (const ParamPiece& piece : state_pieces(table)) {
        EXPECT_GE(piece.state_offset, end);
        end = piece.state_offset + piece.box.count();
        EXPECT_LE(end, table.state_count());
      }
      // ZeRO-1 keeps a share of the buffers, padding included, and nothing besides.
      EXPECT_EQ(table.state_count() * (grid.zero ? grid.dp : 1), table.flat_count());
    });
}

TEST(Partition, NormRangesOfAllRanksCountEveryElementOnce) {
  for (const Grid& grid : kGrids) {
    int64_t counted = 0;
    for_every_rank(grid, [&](const Sharding& sharding) {
      const Model model(testing::divisible_models()[3].config, sharding);
      for (const FlatRange& range : norm_ranges(model.table(), sharding.dp_rank)) counted += range.count;
    });
    EXPECT_EQ(counted, Model(testing::divisible_models()[3].config).table().count());
  }
}

// Stores of any sharding draw the same numbers: a piece's values are those of its place in the logical tensor.
TEST(Partition, EveryRankDrawsItsShareOfTheSameInitialWeights) {
  const auto backend = make_cpu_backend(1);
  const ModelConfig config = testing::divisible_models()[0].config;
  const Model whole(config);
  ParamStore expected(*backend, whole.table(), DType::kF32);
  expected.initialize(11);
  for (const Grid& grid : kGrids)
    for_every_rank(grid, [&](const Sharding& sharding) {
      const Model model(config, sharding);
      ParamStore params(*backend, model.table(), DType::kF32);
      params.initialize(11);
      for (const ParamPiece& piece : state_pieces(model.table())) {
        const ParamSpec& spec = whole.table()[piece.param];
        const float* mine = params.master().as<float>() + piece.state_offset;
        for (int64_t i = 0; i < piece.box.count(); ++i) {
          const int64_t row = piece.box.begin_row + i / piece.box.columns;
          const int64_t column = piece.box.begin_column + i % piece.box.columns;
          ASSERT_EQ(mine[i], expected.weight(piece.param).as<float>()[row * spec.columns() + column]) << spec.name;
        }
      }
    });
}

TEST(ParamTable, RefusesAnExtentThatRanksCannotShare) {
  const ParamTable table(Sharding{0, 3, 0, 1, false, false});
  EXPECT_EQ(table.local(9), 3);
  EXPECT_THROW(table.local(10), Error);
}

}  // namespace
}  // namespace nexus
