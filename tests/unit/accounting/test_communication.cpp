// What the dry run counts against the formulas of docs/parallelism.md, written out here once more;
// tests/mpi/test_grids.cpp holds it against real ranks.
#include <gtest/gtest.h>

#include "accounting/communication.h"
#include "model/dry_run.h"
#include "support/grid_models.h"

namespace nexus {
namespace {

using Group = CommunicationTerm::Group;

int64_t term(const std::vector<CommunicationTerm>& terms, const std::string& name) {
  for (const CommunicationTerm& t : terms)
    if (t.name == name) return t.group_bytes;
  return 0;
}

// What a block's branches send inside, per token and pass: activation columns, and numbers of the wide type.
struct BlockTraffic {
  int64_t columns = 0;     // gathered in one pass and reduce-scattered in the other
  int64_t statistics = 0;  // all-reduced; the same in both passes
  // Of the columns, those of activations. They are gathered again where activations are computed again, and so are the
  // statistics of the norms before them.
  int64_t activations = 0;
};

// A Nexus-Rank projection of `groups` outputs gathers a1, and adds up the squares of h1 and h2.
void add_nexus_rank(BlockTraffic& block, const ModelConfig& c, int64_t groups) {
  block.columns += groups * c.count("M");
  block.activations += groups * c.count("M");
  block.statistics += c.word("norm") == "none" ? 0 : 2 * groups;
}

BlockTraffic block_traffic(const ModelConfig& c) {
  const int64_t qkv = (c.heads + 2 * c.kv()) * c.head_dim();
  BlockTraffic block;
  if (c.arch == "transformer") return block;
  block.columns += qkv;  // q, k and v go to the rank that has their head
  if (c.arch == "tokenformer") {
    block.columns += c.d;  // o wants whole rows
    block.statistics += 3 + 1 + 1;
    return block;
  }
  add_nexus_rank(block, c, 3);
  if (c.word("variant") == "full") {
    block.columns += c.d;
    add_nexus_rank(block, c, 1);
    add_nexus_rank(block, c, 1);
  }
  return block;
}

// Of the tensor-parallel passes of one micro-batch.
int64_t formula(const ModelConfig& c, const StepShape& shape, int64_t p) {
  const int64_t rows = shape.micro * shape.context;
  const int64_t element = size_of(shape.compute), wide = size_of(wide_of(shape.compute));
  const int64_t column = (p - 1) * rows * element;      // gather or reduce-scatter of one column of activations
  const int64_t statistic = 2 * (p - 1) * rows * wide;  // all-reduce of one number per row
  const BlockTraffic block = block_traffic(c);
  // Entering and leaving a branch: a gather and a reduce-scatter of D columns in each pass with sequence parallelism,
  // an all-reduce in one of the two places without. Two branches.
  const int64_t per_pass = (4 * c.d + block.columns) * column + block.statistics * statistic;
  const int64_t again =
      shape.recompute == Recompute::kActivations ? block.activations * column + block.statistics * statistic : 0;
  const int64_t embedding_and_head = 4 * c.d * column, cross_entropy = (p - 1) * p * rows * 3 * wide;
  return c.layers * (2 * per_pass + again) + embedding_and_head + cross_entropy;
}

TEST(Communication, OfTensorParallelPassesIsWhatTheFormulaSays) {
  for (testing::NamedModel& model : testing::divisible_models())
    for (const int tp : {1, 2, 4})
      for (const bool sequence : {false, true})
        for (const DType compute : {DType::kF32, DType::kBF16})
          for (const Recompute recompute : {Recompute::kNone, Recompute::kActivations}) {
            model.config.validate();
            const Sharding sharding{tp - 1, tp, 0, 1, false, sequence && tp > 1};
            const StepShape shape{2, 12, 3, compute, recompute};
            EXPECT_EQ(term(step_communication(model.config, shape, sharding), "forward and backward passes"),
                      3 * formula(model.config, shape, tp))
                << model.name << " tp " << tp << " sequence " << sequence << " recompute " << name_of(recompute);
          }
}

// Norm weights are whole on every rank; a Tokenformer's blocks have none.
TEST(Communication, OfNormWeightsIsAnAllReduceOfThoseThereAre) {
  const Sharding sharding{0, 2, 0, 1, false, true};
  for (testing::NamedModel& model : testing::divisible_models()) {
    const ModelConfig& c = model.config;
    const int64_t weights = c.d * (c.arch == "tokenformer" ? 1 : 2 * c.layers + 1);
    EXPECT_EQ(term(step_communication(c, {2, 12, 1, DType::kF32}, sharding), "norm weights"), 2 * weights * 4)
        << model.name;
  }
}

// docs/parallelism.md: 8 D + 5 M elements per token and block forward, 3.7 times a linear-projection block, whose
// forward pass moves 4 D; backward moves the same.
TEST(Communication, OfANexusBlockIsEightDAndFiveM) {
  ModelConfig nexus;  // the 240M rung
  nexus.validate();
  EXPECT_EQ(4 * nexus.d + block_traffic(nexus).columns, 8 * 768 + 5 * 1024);
  EXPECT_EQ(block_traffic(nexus).statistics, 2 * 5);
  const StepShape shape{1, 1024, 1, DType::kBF16};
  EXPECT_EQ(term(step_communication(nexus, shape, {0, 2, 0, 1, false, true}), "forward and backward passes"),
            2 * 277'807'104 + 2 * 3'145'728 + 24'576);
}

TEST(Communication, OfZeroOneIsThatOfAnAllReduceInF32) {
  ModelConfig config;
  config.validate();
  const StepShape shape{1, 1024, 4, DType::kF32};
  const auto replicated = step_communication(config, shape, {0, 1, 0, 4, false, false});
  const auto sharded = step_communication(config, shape, {0, 1, 0, 4, true, false});
  EXPECT_EQ(group_bytes_of(replicated, Group::kDp) + 3 * 4 * 8, group_bytes_of(sharded, Group::kDp));
  EXPECT_TRUE(step_communication(config, shape, {}).empty());
}

}  // namespace
}  // namespace nexus
