// The formula against the dry run, whose communicator counts what the passes send; tests/mpi/test_grids.cpp holds both
// against real ranks.
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

TEST(Communication, OfTensorParallelPassesIsWhatTheDryRunCounts) {
  for (const testing::NamedModel& model : testing::divisible_models())
    for (const int tp : {1, 2, 4})
      for (const bool sequence : {false, true})
        for (const DType compute : {DType::kF32, DType::kBF16})
          for (const Recompute recompute : {Recompute::kNone, Recompute::kActivations}) {
            const Sharding sharding{tp - 1, tp, 0, 1, false, sequence && tp > 1};
            const auto terms = step_communication(model.config, {2, 12, 1, compute, recompute}, sharding);
            const int64_t per_step = term(terms, "norm weights") + term(terms, "gradient norm");
            EXPECT_EQ(group_bytes_of(terms, Group::kTp) - per_step,
                      dry_run(model.config, compute, 2, 12, ModelUse::kTraining, sharding, recompute).tp_group_bytes)
                << model.name << " tp " << tp << " sequence " << sequence << " recompute " << name_of(recompute);
          }
}

// docs/parallelism.md: 8 D + 5 M elements per token and block forward, 3.7 times a linear-projection block, whose
// forward pass moves 4 D; backward moves the same.
TEST(Communication, OfANexusBlockIsEightDAndFiveM) {
  ModelConfig nexus;  // the 240M rung
  nexus.validate();
  ModelConfig transformer = nexus;
  transformer.arch = Arch::kTransformer;
  const Sharding sharding{0, 2, 0, 1, false, true};
  const StepShape shape{1, 1024, 1, DType::kBF16};
  const int64_t statistics =
      12 * 2 * 1024 * 4 * (2 * 5);  // layers, all-reduce, rows, f32, two norms of five projections
  const int64_t elements = (8 * 768 + 5 * 1024) * 12 * int64_t{1024};
  EXPECT_EQ(term(step_communication(nexus, shape, sharding), "blocks forward"), 2 * elements + statistics);
  EXPECT_EQ(term(step_communication(transformer, shape, sharding), "blocks forward"), 2 * 4 * 768 * 12 * int64_t{1024});
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
