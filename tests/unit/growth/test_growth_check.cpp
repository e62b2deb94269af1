// Growth of whole models: lossless and alive where promised, and caught where not.
#include <gtest/gtest.h>

#include "growth/grow.h"
#include "support/growth_batch.h"
#include "support/model_rig.h"

namespace nexus {
namespace {

ModelConfig small_model(const std::string& arch, const std::string& norm = "l2") {
  ModelConfig config;
  config.arch = arch;
  config.d = 32;
  config.layers = 2;
  config.heads = 2;
  config.counts["M"] = 48;
  config.counts["A"] = 64;
  config.counts["F"] = 64;
  config.counts["n_qkv"] = config.counts["n_proj"] = 40;
  config.counts["n_ffn"] = 56;
  config.counts["V"] = 120;
  if (arch == "nexusformer") config.words["norm"] = norm;
  config.words["tie"] = arch == "tokenformer" ? "true" : "false";
  config.validate();
  return config;
}

struct Grown {
  GrowthCheck check;
  std::vector<double> moment1, moment2;  // of the grown store
};

Grown grow(const ModelConfig& config, const GrowthOptions& options, DType dtype, const NormScales& scales = {}) {
  const auto backend = make_cpu_backend();
  const ModelConfig bigger = grown_config(config, options);
  Model before(config), after(bigger);
  ParamStore from(*backend, before.table(), dtype), to(*backend, after.table(), dtype);
  testing::draw_lively(from);
  from.set_norm_scales(scales);
  to.set_norm_scales(grown_norm_scales(scales, config, options));
  to.set_growth_masks(grown_masks(config, options));
  backend->run(ops::Copy{from.master(), from.moment1()});  // any values that can be recognised afterwards
  backend->run(ops::Copy{from.master(), from.moment2()});
  const auto moves = plan_growth(before.table(), after.table(), options);
  ProcessGrid grid(make_self_communicator(), 1, 1);
  apply_growth(grid, moves, options, 5, 1, from, to);
  Grown grown;
  grown.check = check_growth(grid, config, from, bigger, to, moves, testing::growth_batch(config.count("V"), 24), 1e-3);
  if (dtype == DType::kF64) {
    grown.moment1.resize(static_cast<size_t>(after.table().flat_count()));
    grown.moment2.resize(grown.moment1.size());
    backend->copy_out(grown.moment1.data(), to.moment1());
    backend->copy_out(grown.moment2.data(), to.moment2());
  }
  EXPECT_EQ(grown.check.new_params, after.table().count() - before.table().count());
  return grown;
}

GrowthOptions nexus_growth(const std::string& init) {
  GrowthOptions options;
  options.widths = {{"M", 64}, {"A", 80}};
  options.policy = &growth_policy(init);
  return options;
}

GrowthOptions token_growth(const std::string& init) {
  GrowthOptions options;
  options.widths = {{"n_qkv", 48}, {"n_proj", 48}, {"n_ffn", 72}};
  options.policy = &growth_policy(init);
  return options;
}

TEST(Growth, ZeroRowsIsLosslessAndAliveInEveryTypeWithAndWithoutNorm) {
  for (const char* norm : {"l2", "none"})
    for (const DType dtype : {DType::kF64, DType::kF32, DType::kBF16}) {
      const GrowthCheck check = grow(small_model("nexusformer", norm), nexus_growth("zero_rows"), dtype).check;
      EXPECT_TRUE(check.lossless()) << name_of(dtype) << " relative " << check.relative_dlogit;
      EXPECT_TRUE(check.alive()) << name_of(dtype) << ": " << check.dead_blocks.size() << " dead blocks";
      EXPECT_LE(check.tolerance, dtype == DType::kF64 ? 1e-12 : 2e-5);
      EXPECT_NEAR(check.loss_before, check.loss_after, dtype == DType::kF64 ? 1e-12 : 1e-5);  // a mean of such logits
      // Not one parameter stays behind: an update that the next one undoes has moved all the same.
      if (dtype == DType::kF64) {
        EXPECT_EQ(check.unmoved_params, 0);
      }
    }
}

TEST(Growth, OneAxisAtATimeIsLosslessAndAlive) {
  for (const char* width : {"M", "A"}) {
    GrowthOptions options;
    options.widths = {{width, 96}};
    const GrowthCheck check = grow(small_model("nexusformer"), options, DType::kF64).check;
    EXPECT_TRUE(check.lossless()) << width << " " << check.relative_dlogit;
    EXPECT_TRUE(check.alive()) << width;
  }
}

TEST(Growth, QkvVariantIsLosslessAndAlive) {
  ModelConfig config = small_model("nexusformer");
  config.words["variant"] = "qkv";
  const GrowthCheck check = grow(config, nexus_growth("zero_rows"), DType::kF64).check;
  EXPECT_TRUE(check.lossless());
  EXPECT_TRUE(check.alive());
}

// What is read of a new channel is GELU(0) = 0, whatever stands in the columns and in the corner.
TEST(Growth, InTheTrainedScaleIsLosslessAndAliveInEveryTypeWithAndWithoutNorm) {
  for (const char* init : {"zero_rows_matched", "zero_copy"})
    for (const char* norm : {"l2", "none"})
      for (const DType dtype : {DType::kF64, DType::kF32, DType::kBF16}) {
        const GrowthCheck check = grow(small_model("nexusformer", norm), nexus_growth(init), dtype).check;
        const std::string where = fmt::format("{} {} {}", init, norm, name_of(dtype));
        EXPECT_TRUE(check.lossless()) << where << " relative " << check.relative_dlogit;
        EXPECT_TRUE(check.alive()) << where << ": " << check.dead_blocks.size() << " dead blocks";
        if (dtype == DType::kF64) {
          EXPECT_EQ(check.unmoved_params, 0) << where;  // each entry, not only each block
        }
      }
}

TEST(Growth, SplitIsLosslessWithoutNormForAnyFactorAndAlive) {
  for (const int64_t a : {80, 128, 200}) {  // of 64: some twice, all twice, some four times
    GrowthOptions options = nexus_growth("split");
    options.widths = {{"M", 64}, {"A", a}};
    const GrowthCheck check = grow(small_model("nexusformer", "none"), options, DType::kF64).check;
    EXPECT_TRUE(check.lossless()) << a << " relative " << check.relative_dlogit;
    EXPECT_TRUE(check.alive()) << a;
    EXPECT_EQ(check.unmoved_params, 0) << a;
  }
  const GrowthCheck narrow = grow(small_model("nexusformer", "none"), nexus_growth("split"), DType::kF32).check;
  EXPECT_TRUE(narrow.lossless()) << narrow.relative_dlogit;
  const GrowthCheck with_norm = grow(small_model("nexusformer", "l2"), nexus_growth("split"), DType::kF64).check;
  EXPECT_GT(with_norm.relative_dlogit, 1e-4);  // the norm sees the copied rows
  EXPECT_TRUE(with_norm.alive());
}

// A channel that is copied f - 1 times takes a part 1 / f of the squared length; the scale makes up for it.
TEST(Growth, SplitScaledNormIsLosslessWithNormL2ForWholeFactorsOnly) {
  GrowthOptions options = nexus_growth("split_scaled_norm");
  const NormScales before = {{"A", {1.5, 1, 0}}};
  options.widths = {{"M", 96}, {"A", 192}};  // of 48 and 64
  const GrowthCheck whole = grow(small_model("nexusformer"), options, DType::kF64, before).check;
  EXPECT_TRUE(whole.lossless()) << whole.relative_dlogit;
  EXPECT_TRUE(whole.alive());
  EXPECT_EQ(whole.unmoved_params, 0);
  EXPECT_EQ(grown_norm_scales(before, small_model("nexusformer"), options),
            (NormScales{{"M", {2, 1, 0}}, {"A", {4.5, 1, 0}}}));
  options.widths = {{"M", 72}, {"A", 80}};
  const GrowthCheck odd = grow(small_model("nexusformer"), options, DType::kF64).check;
  EXPECT_FALSE(odd.lossless());
  options.policy = &growth_policy("split");
  // Closer than without, for channels have their size again.
  EXPECT_LT(odd.relative_dlogit, 0.7 * grow(small_model("nexusformer"), options, DType::kF64).check.relative_dlogit);
}

// At the growth nothing of the scale's own growth has come; what an earlier one has left stays.
TEST(Growth, WithNormScalesIsLosslessAndCarriesThemOn) {
  GrowthOptions options = nexus_growth("zero_copy");
  options.norm_scale = true;
  const NormScales before = {{"M", {1.5, 1.25, 0.5}}};
  const GrowthCheck check = grow(small_model("nexusformer"), options, DType::kF64, before).check;
  EXPECT_TRUE(check.lossless()) << check.relative_dlogit;
  EXPECT_TRUE(check.alive());
  const ModelConfig config = small_model("nexusformer");
  NormScales after = grown_norm_scales(before, config, options);
  EXPECT_EQ(after, (NormScales{{"M", {1.6875, 64.0 / 48, 0}}, {"A", {1, 80.0 / 64, 0}}}));
  EXPECT_EQ(after.at("M").squared(), before.at("M").squared());
  for (auto& [width, scale] : after) scale.share = 1;  // in the end channels have the size that they had before
  EXPECT_DOUBLE_EQ(after.at("A").squared() / 80, 1.0 / 64);
  options.norm_scale = false;
  EXPECT_EQ(grown_norm_scales(before, config, options), (NormScales{{"M", {1.6875, 1, 0}}}));
  EXPECT_TRUE(grown_norm_scales({}, config, options).empty());
}

// Whatever the new channels hold; with the mask open, or without one, the same growth is another function.
TEST(Growth, BehindAMaskIsLosslessAndAliveInEveryType) {
  struct Case {
    ModelConfig model;
    GrowthOptions growth;
  };
  std::vector<Case> cases;
  for (const char* norm : {"l2", "none"})
    for (const char* init : {"random_matched", "random"})
      cases.push_back({small_model("nexusformer", norm), nexus_growth(init)});
  cases.push_back({small_model("tokenformer"), token_growth("random_key_matched")});
  for (auto& [model, growth] : cases)
    for (const DType dtype : {DType::kF64, DType::kF32, DType::kBF16}) {
      const std::string where = fmt::format("{} {} {}", model.arch, growth.policy->name(), name_of(dtype));
      growth.mask = false;
      EXPECT_GT(grow(model, growth, dtype).check.relative_dlogit, 1e-4) << where;
      growth.mask = true;
      const GrowthCheck check = grow(model, growth, dtype).check;
      EXPECT_TRUE(check.lossless()) << where << " relative " << check.relative_dlogit;
      EXPECT_TRUE(check.alive()) << where << ": " << check.dead_blocks.size() << " dead blocks";
      if (dtype == DType::kF64) {
        EXPECT_EQ(check.unmoved_params, 0) << where;
      }
    }
}

TEST(Growth, MasksTheChannelsThatAreNewAndNoOthers) {
  GrowthOptions options = nexus_growth("random_matched");
  EXPECT_TRUE(grown_masks(small_model("nexusformer"), options).empty());
  options.mask = true;
  EXPECT_EQ(grown_masks(small_model("nexusformer"), options), (GrowthMasks{{"M", {48, 0}}, {"A", {64, 0}}}));
  options.widths["M"] = 48;  // as it was
  EXPECT_EQ(grown_masks(small_model("nexusformer"), options), (GrowthMasks{{"A", {64, 0}}}));
}

// Small is not dead: behind a head and a final norm of 1e-12 all gradients are far below a usual eps of AdamW.
TEST(Growth, IsAliveWhereGradientsAreTiny) {
  const auto backend = make_cpu_backend();
  const ModelConfig config = small_model("nexusformer");
  const GrowthOptions options = nexus_growth("zero_rows_matched");
  const ModelConfig bigger = grown_config(config, options);
  Model before(config), after(bigger);
  ParamStore from(*backend, before.table(), DType::kF32), to(*backend, after.table(), DType::kF32);
  testing::draw_lively(from);
  for (const char* name : {"head.weight", "norm.weight"}) {
    const int index = before.table().find(name);
    std::vector<float> values(static_cast<size_t>(before.table()[index].count()));
    backend->copy_out(values.data(), from.weight(index));
    for (float& value : values) value *= 1e-12F;
    from.set_weights(index, values.data());
  }
  const auto moves = plan_growth(before.table(), after.table(), options);
  ProcessGrid grid(make_self_communicator(), 1, 1);
  apply_growth(grid, moves, options, 5, 1, from, to);
  const GrowthCheck check =
      check_growth(grid, config, from, bigger, to, moves, testing::growth_batch(config.count("V"), 24), 1e-3);
  EXPECT_TRUE(check.alive()) << check.dead_blocks.size() << " dead blocks";
}

// A saddle: no gradient ever reaches a channel whose row and column are both zero.
TEST(Growth, ZeroAllIsLosslessAndCompletelyDead) {
  const GrowthCheck check = grow(small_model("nexusformer"), nexus_growth("zero_all"), DType::kF64).check;
  EXPECT_TRUE(check.lossless());
  EXPECT_EQ(check.unmoved_params, check.new_params);
  EXPECT_EQ(check.dead_params, check.new_params);
  EXPECT_FALSE(check.alive());
}

TEST(Growth, ZeroColumnsIsLosslessWithoutNormOnly) {
  const auto options = nexus_growth("zero_columns");
  EXPECT_TRUE(grow(small_model("nexusformer", "none"), options, DType::kF64).check.lossless());
  const GrowthCheck with_norm = grow(small_model("nexusformer"), options, DType::kF64).check;
  EXPECT_FALSE(with_norm.lossless());
  EXPECT_GT(with_norm.relative_dlogit, 1e-4);  // the norm sees the new rows
}

TEST(Growth, RandomChangesTheFunctionAndTheCheckSaysSo) {
  EXPECT_FALSE(grow(small_model("nexusformer"), nexus_growth("random"), DType::kF32).check.lossless());
}

TEST(Growth, TokenformerPoliciesAreWhatTheirLabelsSay) {
  const ModelConfig config = small_model("tokenformer");
  const GrowthCheck fixed = grow(config, token_growth("zero_key_fixed_scale"), DType::kF64).check;
  EXPECT_TRUE(fixed.lossless()) << fixed.relative_dlogit;
  EXPECT_TRUE(fixed.alive());
  for (const char* init : {"zero_key_matched", "zero_key_copy"}) {
    const GrowthCheck check = grow(config, token_growth(init), DType::kF64).check;
    EXPECT_TRUE(check.lossless()) << init << " " << check.relative_dlogit;
    EXPECT_TRUE(check.alive()) << init;
    EXPECT_EQ(check.unmoved_params, 0) << init;
    EXPECT_EQ(grown_config(config, token_growth(init)).count("scale_ffn"), 56) << init;
  }
  EXPECT_FALSE(grow(config, token_growth("zero_key"), DType::kF64).check.lossless());
  EXPECT_FALSE(grow(config, token_growth("released"), DType::kF64).check.lossless());
}

TEST(Growth, TokenformerScaleFollowsThePolicy) {
  const ModelConfig config = small_model("tokenformer");
  EXPECT_EQ(grown_config(config, token_growth("zero_key_fixed_scale")).count("scale_qkv"), 40);
  EXPECT_EQ(grown_config(config, token_growth("released")).count("scale_qkv"), 48);
  EXPECT_EQ(grown_config(config, token_growth("zero_key")).count("scale_ffn"), 72);
}

double sum_of_magnitudes(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += std::abs(value);
  return sum;
}

TEST(Growth, MomentPoliciesKeepWhatTheyName) {
  const ModelConfig config = small_model("nexusformer");
  GrowthOptions options = nexus_growth("zero_rows");
  const Grown kept = grow(config, options, DType::kF64);
  options.moments = MomentPolicy::kKeepV;
  const Grown kept_v = grow(config, options, DType::kF64);
  options.moments = MomentPolicy::kReset;
  const Grown reset = grow(config, options, DType::kF64);
  const double whole = sum_of_magnitudes(kept.moment1);
  EXPECT_GT(whole, 0);
  EXPECT_EQ(sum_of_magnitudes(kept.moment2), whole);
  EXPECT_EQ(sum_of_magnitudes(kept_v.moment1), 0);
  EXPECT_EQ(sum_of_magnitudes(kept_v.moment2), whole);
  EXPECT_EQ(sum_of_magnitudes(reset.moment1) + sum_of_magnitudes(reset.moment2), 0);
}

TEST(Growth, GenerationsCountTheirUpdatesByThePolicy) {
  const ModelConfig config = small_model("nexusformer");
  Generation first = first_generation(config);
  first.updates1 = first.updates2 = 10;
  GrowthOptions options = nexus_growth("zero_rows");
  const ModelConfig bigger = grown_config(config, options);
  auto kept = grown_generations({first}, bigger, options);
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].updates1, 10);
  EXPECT_EQ(kept[1].updates1, 0);
  EXPECT_EQ(kept[1].widths.at("M"), 64);
  options.moments = MomentPolicy::kKeepV;
  const auto kept_v = grown_generations({first}, bigger, options);
  EXPECT_EQ(kept_v[0].updates1, 0);
  EXPECT_EQ(kept_v[0].updates2, 10);
}

// New random entries are a function of seed, name, growth number and place only.
TEST(Growth, RepeatsItsRandomNumbersAndDrawsNewOnesForTheNextGrowth) {
  const auto backend = make_cpu_backend();
  const ModelConfig config = small_model("nexusformer");
  const GrowthOptions options = nexus_growth("zero_rows");
  Model before(config), after(grown_config(config, options));
  ParamStore from(*backend, before.table(), DType::kF32);
  testing::draw_lively(from);
  auto grown = [&](uint64_t seed, int number) {
    ParamStore to(*backend, after.table(), DType::kF32);
    ProcessGrid grid(make_self_communicator(), 1, 1);
    apply_growth(grid, plan_growth(before.table(), after.table(), options), options, seed, number, from, to);
    std::vector<float> values(static_cast<size_t>(after.table().flat_count()));
    backend->copy_out(values.data(), to.master());
    return values;
  };
  EXPECT_EQ(grown(5, 1), grown(5, 1));
  EXPECT_NE(grown(5, 1), grown(5, 2));
  EXPECT_NE(grown(5, 1), grown(6, 1));
}

}  // namespace
}  // namespace nexus
