// What a growth policy can say, and that every registered one is somebody's.
#include <algorithm>
#include <set>

#include "growth/grow.h"
#include "model/architecture.h"
#include "support/expect_error.h"
#include "support/growth_batch.h"
#include "support/model_rig.h"
#include "support/test_tensor.h"
#include "unit/growth/growth_tables.h"

namespace nexus {
namespace {

using testing::PolicyOf;
using testing::same;
using testing::zero;

// The picks of `count` rows or columns from `first` on that copy the old ones in turn.
std::vector<Pick> in_turn(int64_t first, int64_t count, int64_t of, double scale = 1, double gradient = 1) {
  std::vector<Pick> picks;
  for (int64_t i = first; i < first + count; ++i) picks.push_back({i % of, scale, gradient});
  return picks;
}

// w_m [2, 4] and w_a [2, 2] grown to M = 4, A = 3: master weights and moments.
struct GrownTensors {
  std::vector<double> weights, moment1, moment2;
  double at(const std::vector<double>& of, const ParamSpec& spec, int64_t row, int64_t column) const {
    return of[static_cast<size_t>(spec.offset + row * spec.columns() + column)];
  }
};

// Old entries are 1, 2, 3, ... in the order of the table, and so are their moments.
GrownTensors grow(const GrowthPolicy& policy, const ParamTable& before, const ParamTable& after,
                  MomentPolicy moments = MomentPolicy::kKeep) {
  const auto backend = make_cpu_backend();
  ParamStore from(*backend, before, DType::kF64), to(*backend, after, DType::kF64);
  double next = 1;
  for (int index = 0; index < before.size(); ++index) {
    std::vector<double> values(static_cast<size_t>(before[index].count()));
    for (double& value : values) value = next++;
    from.set_weights(index, values.data());
  }
  backend->run(ops::Copy{.from = from.master(), .to = from.moment1()});
  backend->run(ops::Copy{.from = from.master(), .to = from.moment2()});
  GrowthOptions options;
  options.policy = &policy;
  options.moments = moments;
  ProcessGrid grid(make_self_communicator(), 1, 1);
  apply_growth(grid, plan_growth(before, after, options), options, 5, 1, from, to);
  GrownTensors grown;
  for (auto [values, tensor] :
       {std::pair{&grown.weights, to.master()}, {&grown.moment1, to.moment1()}, {&grown.moment2, to.moment2()}}) {
    values->resize(static_cast<size_t>(tensor.count()));
    backend->copy_out(values->data(), tensor);
  }
  return grown;
}

const ParamTable kBefore = testing::table_of(2, 2), kAfter = testing::table_of(4, 3);

TEST(GrowthPolicies, EachGrowsSomeArchitectureAndEachThatGrowsHasASoundDefault) {
  std::set<std::string> names;
  for (const GrowthPolicy* policy : all_growth_policies()) {
    EXPECT_TRUE(names.insert(policy->name()).second) << policy->name() << " twice";
    EXPECT_FALSE(architectures_of(*policy).empty()) << policy->name();
    EXPECT_EQ(&growth_policy(policy->name()), policy);
  }
  for (const Architecture* arch : all_architectures()) {
    const bool has_widths =
        std::any_of(arch->keys().begin(), arch->keys().end(), [](const ModelKey& key) { return key.grows(); });
    EXPECT_EQ(has_widths, !arch->grown_part().empty()) << arch->name();
    if (!has_widths) continue;
    GrowthOptions options;
    options.policy = growth_policies_for(arch->grown_part()).at(0);
    ModelConfig model;
    model.arch = arch->name();
    EXPECT_FALSE(policy_problem(options, model)) << arch->name() << ": " << options.policy->name();
  }
}

TEST(GrowthPolicies, CopyRowsAndColumnsAndScaleWhatTheyCopy) {
  const PolicyOf policy(
      [](const GrowthBlock& block) -> Entries {
        if (block.to.name != "w_a") return Entries::same();
        return {{{{}, in_turn(0, block.box.columns, block.from.columns(), 0.5)}}, 0};  // the columns are split
      },
      [](const GrowthBlock& block) -> Entries {
        Copy copy;
        if (block.new_rows) copy.rows = in_turn(block.box.begin_row, block.box.rows, block.from.rows());
        if (block.to.name == "w_a")
          copy.columns = in_turn(block.box.begin_column, block.box.columns, block.from.columns(), 0.5);
        return {{copy}, 0};
      });
  const GrownTensors grown = grow(policy, kBefore, kAfter);
  const ParamSpec &w_m = kAfter[0], &w_a = kAfter[1];  // w_m was 1..4, 5..8; w_a was 9, 10; 11, 12
  EXPECT_EQ(grown.at(grown.weights, w_m, 1, 2), 7);
  EXPECT_EQ(grown.at(grown.weights, w_m, 2, 0), 1);
  EXPECT_EQ(grown.at(grown.weights, w_m, 3, 3), 8);
  EXPECT_EQ(grown.at(grown.weights, w_a, 0, 0), 4.5);
  EXPECT_EQ(grown.at(grown.weights, w_a, 1, 3), 6);
  EXPECT_EQ(grown.at(grown.weights, w_a, 2, 2), 4.5);  // the corner: row 0, column 0
  EXPECT_EQ(grown.at(grown.moment1, w_m, 1, 2), 7);
  EXPECT_EQ(grown.at(grown.moment1, w_m, 2, 0), 0);  // new moments are zero unless the policy says so
}

TEST(GrowthPolicies, AveragesAreTwoCopiesAndNoiseIsAddedToCopies) {
  const auto average = [](double std) {
    return [std](const GrowthBlock& block) -> Entries {
      if (!block.new_rows || block.new_columns) return Entries::zero();
      const auto rows = static_cast<size_t>(block.box.rows);
      return {{{std::vector<Pick>(rows, {0, 0.5}), {}}, {std::vector<Pick>(rows, {1, 0.5}), {}}}, std};
    };
  };
  const GrownTensors exact = grow(PolicyOf(same, average(0)), kBefore, kAfter);
  EXPECT_EQ(exact.at(exact.weights, kAfter[0], 2, 1), 4);   // of 2 and 6
  EXPECT_EQ(exact.at(exact.weights, kAfter[1], 2, 1), 11);  // of 10 and 12
  const GrownTensors noisy = grow(PolicyOf(same, average(1e-3)), kBefore, kAfter);
  const double noise = noisy.at(noisy.weights, kAfter[0], 2, 1) - 4;
  EXPECT_NE(noise, 0);
  EXPECT_LT(std::abs(noise), 1e-2);  // ten standard deviations
}

TEST(GrowthPolicies, MomentsComeWithCopiesInUnitsOfTheirGradient) {
  const auto rows = [](const GrowthBlock& block) -> Entries {
    if (!block.new_rows) return Entries::zero();
    Copy copy{in_turn(block.box.begin_row, block.box.rows, block.from.rows(), 1, 0.5), {}};
    if (block.new_columns) copy.columns = in_turn(0, block.box.columns, block.from.columns());
    return {{copy}, 0};
  };
  const PolicyOf policy(same, rows, true);
  const GrownTensors kept = grow(policy, kBefore, kAfter);
  EXPECT_EQ(kept.at(kept.weights, kAfter[0], 2, 3), 4);
  EXPECT_EQ(kept.at(kept.moment1, kAfter[0], 2, 3), 2);
  EXPECT_EQ(kept.at(kept.moment2, kAfter[0], 2, 3), 1);
  const GrownTensors kept_v = grow(policy, kBefore, kAfter, MomentPolicy::kKeepV);
  EXPECT_EQ(kept_v.at(kept_v.moment1, kAfter[0], 2, 3), 0);
  EXPECT_EQ(kept_v.at(kept_v.moment2, kAfter[0], 2, 3), 1);
  // Moments that have seen updates are corrected as such.
  GrowthOptions options;
  options.policy = &policy;
  Generation birth = first_generation(ModelConfig{});
  birth.updates1 = birth.updates2 = 10;
  EXPECT_EQ(grown_generations({birth}, ModelConfig{}, options)[1].updates1, 10);
  options.moments = MomentPolicy::kKeepV;
  EXPECT_EQ(grown_generations({birth}, ModelConfig{}, options)[1].updates1, 0);
  EXPECT_EQ(grown_generations({birth}, ModelConfig{}, options)[1].updates2, 10);
}

TEST(GrowthPolicies, ScaleTensorsThatDoNotGrow) {
  const PolicyOf twice(
      [](const GrowthBlock& block) -> Entries {
        return {{{in_turn(0, block.box.rows, block.from.rows(), 2), {}}}, 0};
      },
      zero);
  const GrownTensors grown = grow(twice, kBefore, kBefore);
  EXPECT_EQ(grown.at(grown.weights, kBefore[2], 3, 0), 32);  // norm was 13..16
}

// The root mean square of the old tensor is the deviation, so that twice the entries give twice the noise, exactly.
TEST(GrowthPolicies, DrawWithADeviationMeasuredInTheOldTensor) {
  const auto relative = [](const GrowthBlock& block) {
    return block.consumes_new() ? Entries::normal_of_rms(0.5) : Entries::zero();
  };
  const auto absolute = [](const GrowthBlock& block) -> Entries {
    // w_a holds 9, 10, 11, 12.
    return {{}, block.consumes_new() ? 0.5 * std::sqrt((81 + 100 + 121 + 144) / 4.0) : 0};
  };
  const GrownTensors grown = grow(PolicyOf(same, relative), kBefore, kAfter);
  EXPECT_EQ(grown.weights, grow(PolicyOf(same, absolute), kBefore, kAfter).weights);
  EXPECT_NE(grown.at(grown.weights, kAfter[1], 0, 3), 0);
  EXPECT_EQ(grown.at(grown.moment1, kAfter[1], 0, 3), 0);  // moments are not drawn
}

TEST(GrowthPolicies, InTheTrainedScaleFillTheCornerAndLeaveOnlyMakersOfChannelsZero) {
  const GrownTensors matched = grow(growth_policy("zero_rows_matched"), kBefore, kAfter);
  const GrownTensors copied = grow(growth_policy("zero_copy"), kBefore, kAfter);
  const ParamSpec &w_m = kAfter[0], &w_a = kAfter[1];
  const double noise = 10 * 1e-3 * 10.6;  // ten deviations: the root mean square of 9, 10, 11, 12 is 10.56
  for (const GrownTensors* grown : {&matched, &copied}) {
    EXPECT_EQ(grown->at(grown->weights, w_m, 2, 0), 0);
    EXPECT_EQ(grown->at(grown->weights, w_a, 2, 1), 0);
    EXPECT_NE(grown->at(grown->weights, w_a, 2, 3), 0);
    EXPECT_EQ(grown->at(grown->weights, w_a, 1, 1), 12);
  }
  EXPECT_NEAR(copied.at(copied.weights, w_a, 0, 2), 9, noise);
  EXPECT_NEAR(copied.at(copied.weights, w_a, 0, 3), 10, noise);  // another column than its neighbour
  EXPECT_NEAR(copied.at(copied.weights, w_a, 2, 3), 10, noise);  // the corner copies row 0 and column 1
  EXPECT_NE(copied.at(copied.weights, w_a, 0, 2), 9);
}

TEST(GrowthPolicies, SplitReadsOneThirdOfAChannelAndTwoThirdsOfItsCopy) {
  const GrownTensors grown = grow(growth_policy("split"), kBefore, kAfter);
  const ParamSpec &w_m = kAfter[0], &w_a = kAfter[1];  // w_m was 1..4, 5..8; w_a was 9, 10; 11, 12
  EXPECT_EQ(grown.at(grown.weights, w_m, 3, 2), 7);
  EXPECT_DOUBLE_EQ(grown.at(grown.weights, w_a, 1, 0), 11 / 3.0);
  EXPECT_DOUBLE_EQ(grown.at(grown.weights, w_a, 1, 2), 22 / 3.0);
  EXPECT_DOUBLE_EQ(grown.at(grown.weights, w_a, 2, 3), 20 / 3.0);  // the corner: row 0, column 1
  // What made a channel keeps its moments in the new gradient's units; the copy starts without.
  EXPECT_DOUBLE_EQ(grown.at(grown.moment1, w_m, 1, 2), 7 / 3.0);
  EXPECT_DOUBLE_EQ(grown.at(grown.moment2, w_m, 1, 2), 7 / 9.0);
  EXPECT_EQ(grown.at(grown.moment1, w_m, 3, 2), 0);
  EXPECT_DOUBLE_EQ(grown.at(grown.moment1, w_a, 1, 1), 12);        // row 1 is not copied
  EXPECT_DOUBLE_EQ(grown.at(grown.moment1, w_a, 0, 1), 10 / 3.0);  // row 0 is
}

// A channel that is there three times is read in the shares 1 : 2 : 3.
TEST(GrowthPolicies, SplitSharesAddUpForAnyFactor) {
  const GrownTensors grown = grow(growth_policy("split"), kBefore, testing::table_of(5, 2));
  const ParamTable after = testing::table_of(5, 2);
  const auto at = [&](int64_t column) { return grown.at(grown.weights, after[1], 0, column); };
  EXPECT_DOUBLE_EQ(at(0) + at(2) + at(4), 9);
  EXPECT_DOUBLE_EQ(at(4), 4.5);
  EXPECT_DOUBLE_EQ(at(1) + at(3), 10);
}

// The moments of old entries must be those of the gradient that they will get: growth shrinks it as the picks say.
TEST(GrowthPolicies, SplitNamesTheGradientsThatTheOldEntriesWillHave) {
  ModelConfig config;
  config.d = 32;
  config.layers = config.heads = 2;
  config.counts = {{"M", 48}, {"A", 64}, {"F", 64}, {"V", 120}};
  config.words["norm"] = "none";
  config.validate();
  GrowthOptions options;
  options.policy = &growth_policy("split");
  options.widths = {{"M", 64}, {"A", 136}};
  testing::ModelRig before(config), after(grown_config(config, options));
  before.forward_backward();
  ParamStore &from = before.params(), &to = after.params();
  from.backend().run(ops::Copy{.from = from.grad(), .to = from.moment1()});
  ProcessGrid grid(make_self_communicator(), 1, 1);
  const auto moves = plan_growth(from.table(), to.table(), options);
  apply_growth(grid, moves, options, 5, 1, from, to);
  after.forward_backward();
  const std::vector<double> moments = testing::ModelRig::wide_values(to.moment1()), gradients = after.gradients();
  double largest = 0;
  for (const double gradient : gradients) largest = std::max(largest, std::abs(gradient));
  int64_t entries = 0;
  for (const GrowthMove& move : moves)
    for (int64_t r = move.box.begin_row; !move.is_new && r < move.box.end_row(); ++r)
      for (int64_t c = move.box.begin_column; c < move.box.end_column(); ++c, ++entries) {
        const ParamSpec& spec = to.table()[move.to];
        const auto place = static_cast<size_t>(spec.offset + r * spec.columns() + c);
        // Sums of some hundred terms whose roundings differ.
        ASSERT_NEAR(moments[place], gradients[place], 1e-12 * largest) << spec.name << " row " << r << " column " << c;
      }
  EXPECT_EQ(entries, from.table().count());
}

TEST(GrowthPolicies, RefusePicksThatTheOldTensorDoesNotHave) {
  const auto plan = [](const PolicyOf& policy) {
    GrowthOptions options;
    options.policy = &policy;
    return plan_growth(kBefore, kAfter, options);
  };
  EXPECT_NEXUS_ERROR(plan(PolicyOf(same, same)), ErrorKind::kInternal, ::testing::HasSubstr("0 picks for"));
  const auto beyond = [](const GrowthBlock&) -> Entries { return {{{{{2}, {2}}, {}}}, 0}; };
  EXPECT_NEXUS_ERROR(plan(PolicyOf(same, beyond)), ErrorKind::kInternal, ::testing::HasSubstr("picks 2 of 2"));
}

// A mask hides new channels, whatever they hold, and nothing else.
TEST(GrowthPolicies, AreLosslessBehindAMaskIfTheyOnlyAdd) {
  ModelConfig nexus, tokens;
  tokens.arch = "tokenformer";
  const auto problem = [&](const std::string& init, bool mask) {
    GrowthOptions options;
    options.policy = &growth_policy(init);
    options.mask = mask;
    const auto found = policy_problem(options, options.policy->grown_part() == "channels" ? nexus : tokens);
    return found ? found->what : "";
  };
  for (const char* init : {"random", "random_matched", "zero_columns", "random_key_matched"}) {
    EXPECT_THAT(problem(init, false), ::testing::HasSubstr("cannot be lossless")) << init;
    EXPECT_EQ(problem(init, true), "") << init;
  }
  for (const char* init : {"zero_rows", "zero_copy", "zero_key_matched"}) EXPECT_EQ(problem(init, true), "") << init;
  for (const char* init : {"split", "split_scaled_norm", "zero_key", "released"})
    EXPECT_THAT(problem(init, true), ::testing::HasSubstr("grow.mask hides only those")) << init;
  EXPECT_THAT(problem("zero_all", true), ::testing::HasSubstr("zero for ever"));
}

}  // namespace
}  // namespace nexus
