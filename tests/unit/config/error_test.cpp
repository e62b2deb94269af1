// Every mistake names file, line, key, reason and cure.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/config/config_test_support.h"

namespace nexus::testing {
namespace {

using ::testing::HasSubstr;

struct Mistake {
  std::string from, to;  // the change to kCampaign
  std::string where;     // "c.yaml:2 key model.D"
  std::string says;
};

class Mistakes : public ::testing::TestWithParam<Mistake> {};

TEST_P(Mistakes, AreRefusedWithPlaceReasonAndCure) {
  const Mistake& mistake = GetParam();
  const std::string message = refusal_of(with(kCampaign, mistake.from, mistake.to));
  EXPECT_THAT(message, HasSubstr("; " + mistake.where + "; "));
  EXPECT_THAT(message, HasSubstr(mistake.says));
}

INSTANTIATE_TEST_SUITE_P(
    UnknownKeys, Mistakes,
    ::testing::Values(
        Mistake{"D: 64", "D: 64, Mm: 3", "c.yaml:2 key model.Mm", "did you mean model.M?"},
        Mistake{"D: 64", "d: 64", "c.yaml:2 key model.d", "did you mean model.D?"},
        Mistake{"name: small", "nmae: small", "c.yaml:1 key nmae", "did you mean name?"},
        Mistake{"micro: 4", "mikro: 4", "c.yaml:3 key batch.mikro", "did you mean batch.micro?"},
        Mistake{"lr: {peak: 1e-3}},", "lr: {peek: 1e-3}},", "c.yaml:5 key stages.0.lr.peek",
                "did you mean stages.0.lr.peak?"},
        Mistake{"{M: 112}", "{M: 112, inti: random}", "c.yaml:6 key stages.1.grow.inti", "stages.1.grow.init?"},
        Mistake{"path: tok/train", "path: tok/train, wieght: 2", "c.yaml:4 key data.train.0.wieght", "weight?"},
        Mistake{"name: small", "name: small\ncontext: 64", "c.yaml:2 key context", "did you mean data.context?"},
        Mistake{"name: small", "name: small\nlr: {peak: 1}", "c.yaml:2 key lr", "did you mean stages.0.lr?"},
        Mistake{"name: small", "name: small\ncluster: {nodes: 2}", "c.yaml:2 key cluster", "use one of"},
        Mistake{"name: small", "name: small\nmodel.M: 5", "c.yaml:2 key model.M", "unknown key"}));

INSTANTIATE_TEST_SUITE_P(
    WrongTypes, Mistakes,
    ::testing::Values(
        Mistake{"D: 64", "D: wide", "c.yaml:2 key model.D", "'wide', not a whole number"},
        Mistake{"D: 64", "D: [64]", "c.yaml:2 key model.D", "a list, not a whole number"},
        Mistake{"D: 64", "D: ", "c.yaml:2 key model.D", "empty, not a whole number"},
        Mistake{"D: 64", "D: 0", "c.yaml:2 key model.D", "from 1 to"},
        Mistake{"8Ki", "8ki", "c.yaml:3 key batch.global_tokens", "8ki is written 8Ki"},
        Mistake{"tokens: 1M", "tokens: 1.5m", "c.yaml:5 key stages.0.tokens", "1.5m is written 1.5M"},
        Mistake{"tok/train", "$NX_UNSET/train", "c.yaml:4 key data.train.0.path", "NX_UNSET is not set"},
        Mistake{"tok/valid", "~tok/valid", "c.yaml:4 key data.valid", "write the path out"},
        Mistake{"V: 512", "V: 512, tie: yes", "c.yaml:2 key model.tie", "not true or false"},
        Mistake{"V: 512", "V: 512, norm: l3", "c.yaml:2 key model.norm", "did you mean l2?"},
        Mistake{"arch: nexusformer", "arch: tranformer", "c.yaml:2 key model.arch", "did you mean transformer?"},
        Mistake{"model: {", "model: 5\nx: {", "c.yaml:2 key model", "not a map of keys"},
        Mistake{"train: [{path: tok/train}]", "train: tok/train", "c.yaml:4 key data.train", "not a list"},
        Mistake{"train: [{path: tok/train}]", "train: [tok/train]", "c.yaml:4 key data.train.0", "not a map"},
        Mistake{"name: small", "name: small\noptimizer: {betas: 0.9}", "c.yaml:2 key optimizer.betas", "two numbers"},
        Mistake{"name: small", "name: small\noptimizer: {betas: [0.9, 1]}", "c.yaml:2 key optimizer.betas", "'1'"},
        Mistake{"name: small", "name: small\noptimizer: {type: sgd}", "c.yaml:2 key optimizer.type", "adamw"},
        Mistake{"name: small", "name: small\nprecision: {compute: i32}", "c.yaml:2 key precision.compute", "f64"},
        Mistake{"name: small", "name: small\naccount: {flops_def: 7n}", "c.yaml:2 key account.flops_def", "6n?"},
        Mistake{"name: small", "name: small\ncheckpoint: {every: 30}", "c.yaml:2 key checkpoint.every", "no unit"},
        Mistake{"name: small", "name: small\ncheckpoint: {every: 30m}", "c.yaml:2 key checkpoint.every", "not a time"},
        Mistake{"name: small", "name: small\ncheckpoint: {keep_every: 1h}", "c.yaml:2 key checkpoint.keep_every",
                "not tokens"},
        Mistake{"name: small", "name: small\nslurm: {chain: jobs}", "c.yaml:2 key slurm.chain", "stages or campaign"},
        Mistake{"name: small", "name: small\nbudget: {kwh: 10}", "c.yaml:2 key budget.kwh", "account.watts_per_gpu"},
        Mistake{"name: small", "name: small\nbudget: {money: 10}", "c.yaml:2 key budget.money",
                "account.price_per_gpu_hour"}));

INSTANTIATE_TEST_SUITE_P(
    Missing, Mistakes,
    ::testing::Values(Mistake{"name: small\n", "", "c.yaml:1 key name", "name is missing"},
                      Mistake{"tokens: 2M, ", "", "c.yaml:6 key stages.1.tokens", "tokens is missing"},
                      Mistake{"{peak: 1e-3}},", "{min: 0}},", "c.yaml:5 key stages.0.lr.peak", "peak is missing"},
                      Mistake{"{path: tok/train}", "{weight: 1}", "c.yaml:4 key data.train.0.path",
                              "path is missing"}));

INSTANTIATE_TEST_SUITE_P(
    ImpossibleModels, Mistakes,
    ::testing::Values(Mistake{"H: 4", "H: 5", "c.yaml:2 key model.H", "does not divide"},
                      Mistake{"H: 4", "H: 4, kv_heads: 3", "c.yaml:2 key model.kv_heads", "does not divide"},
                      Mistake{"H: 4", "H: 4, n_qkv: 3", "c.yaml:2 key model.n_qkv", "belongs to arch tokenformer"},
                      Mistake{"H: 4", "H: 4, mlp: gelu", "c.yaml:2 key model.mlp", "belongs to arch transformer"},
                      Mistake{"arch: nexusformer", "arch: transformer", "c.yaml:2 key model.M",
                              "belongs to arch nexusformer"},
                      Mistake{"arch: nexusformer, D: 64, L: 2, H: 4, M: 96, A: 128, F: 128",
                              "arch: tokenformer, D: 64, H: 4", "c.yaml:2 key model.n_qkv", "n_qkv is missing"}));

INSTANTIATE_TEST_SUITE_P(
    ImpossibleGrowth, Mistakes,
    ::testing::Values(
        Mistake{"{M: 112}", "{M: 80}", "c.yaml:6 key stages.1.grow.M", "M would shrink from 96 to 80"},
        Mistake{"{M: 112}", "{M: 96}", "c.yaml:6 key stages.1.grow", "changes no width"},
        Mistake{"{M: 112}", "{init: random}", "c.yaml:6 key stages.1.grow", "names no new width"},
        Mistake{"{M: 112}", "{n_qkv: 112}", "c.yaml:6 key stages.1.grow.n_qkv", "belongs to arch tokenformer"},
        Mistake{"tokens: 1M,", "tokens: 1M, grow: {M: 112},", "c.yaml:5 key stages.0.grow", "nothing to grow from"},
        Mistake{"{M: 112}", "{M: 112, init: zero_all}", "c.yaml:6 key stages.1.grow.init", "allow_dead: true"},
        Mistake{"{M: 112}", "{M: 112, init: zero_columns}", "c.yaml:6 key stages.1.grow.init", "norm l2"},
        Mistake{"{M: 112}", "{M: 112, init: random}", "c.yaml:6 key stages.1.grow.init", "cannot be lossless"},
        Mistake{"{M: 112}", "{M: 112, init: released}", "c.yaml:6 key stages.1.grow.init",
                "belongs to arch tokenformer"},
        Mistake{"{M: 112}", "{M: 112, init: released, column_std: 0.1}", "c.yaml:6 key stages.1.grow.column_std",
                "belongs to growths with grow.init zero_rows, zero_all, zero_columns or random"},
        Mistake{"{M: 112}", "{M: 112, new: {warmup: 900 steps}}", "c.yaml:6 key stages.1.grow.new.warmup", "longer"},
        Mistake{"{M: 112}", "{M: 112, init: split}", "c.yaml:6 key stages.1.grow.init", "norm l2"},
        Mistake{"{M: 112}", "{M: 112, init: random_matched}", "c.yaml:6 key stages.1.grow.init", "without grow.mask"},
        Mistake{"{M: 112}", "{M: 112, init: split, mask: 9 steps}", "c.yaml:6 key stages.1.grow.init", "hides only"},
        Mistake{"{M: 112}", "{M: 112, mask: 900 steps}", "c.yaml:6 key stages.1.grow.mask", "longer"},
        Mistake{"{M: 112}", "{M: 112, norm_scale: 900 steps}", "c.yaml:6 key stages.1.grow.norm_scale", "longer"},
        Mistake{"{M: 112}", "{M: 112, new: {warmup_from: 1}}", "c.yaml:6 key stages.1.grow.new.warmup_from",
                "without grow.new.warmup"}));

INSTANTIATE_TEST_SUITE_P(
    ImpossibleStages, Mistakes,
    ::testing::Values(
        Mistake{"name: s1", "name: s0", "c.yaml:6 key stages.1.name", "both named 's0'"},
        Mistake{"name: s1", "name: .s1", "c.yaml:6 key stages.1.name", "cannot be a folder name"},
        Mistake{"8Ki", "1000", "c.yaml:3 key batch.global_tokens", "set it to 512 or 1024"},
        Mistake{"8Ki", "256", "c.yaml:3 key batch.global_tokens", "set it to 512"},
        Mistake{"name: small", "name: small\nparallel: {dp: 3}", "c.yaml:4 key batch.global_tokens", "7680 or 9216"},
        Mistake{"{peak: 1e-3}},", "{peak: 1e-3, warmup: 200 steps}},", "c.yaml:5 key stages.0.lr.warmup",
                "lr.warmup of 200 steps is longer than the stage of 123 steps"},
        Mistake{"{peak: 1e-3}},", "{peak: 1e-3, warmup: 2M}},", "c.yaml:5 key stages.0.lr.warmup", "longer"},
        Mistake{"{peak: 1e-3}},", "{peak: 1e-3, warmup: 100}},", "c.yaml:5 key stages.0.lr.warmup", "no unit"},
        Mistake{"{peak: 1e-3}},", "{peak: 1e-3, min: 1}},", "c.yaml:5 key stages.0.lr.min", "larger than lr.peak"},
        Mistake{"{peak: 1e-3}},", "{peak: 1e-3, decay: 5%}},", "c.yaml:5 key stages.0.lr.decay", "schedule wsd"},
        Mistake{"{peak: 1e-3}},", "{peak: 1e-3, schedule: constant, min: 1e-4}},", "c.yaml:5 key stages.0.lr.min",
                "no meaning for schedule constant"},
        Mistake{"{peak: 1e-3}},", "{peak: 1e-3, schedule: wsd, warmup: 60%, decay: 60%}},",
                "c.yaml:5 key stages.0.lr.decay", "longer than the stage"}));

TEST(Mistake, WithoutStagesSaysHowAStageLooks) {
  EXPECT_THAT(refusal_of("name: x\n"), HasSubstr("there are no stages; c.yaml:1 key stages; add stages: [{name: s0"));
}

TEST(Mistake, InAMissingFileIsAConfigurationError) {
  EXPECT_THAT(refusal([] { load_campaign("no/such/file.yaml"); }),
              HasSubstr("there is no such file; no/such/file.yaml"));
}

TEST(Mistake, OfNamingAFolderIsAConfigurationError) {
  EXPECT_THAT(refusal([] { load_campaign(NEXUS_SOURCE_DIR "/configs"); }), HasSubstr("not a regular file"));
}

TEST(Warning, IsAllThatASmallMOrAGets) {
  const LoadedCampaign campaign = load_campaign_text(with(kCampaign, "M: 96, A: 128", "M: 64, A: 100"), "c.yaml");
  ASSERT_EQ(campaign.warnings.size(), 2u);
  EXPECT_THAT(campaign.warnings[0], HasSubstr("M = 64 is not larger than D = 64"));
  EXPECT_THAT(campaign.warnings[0], HasSubstr("c.yaml:2 key model.M"));
  EXPECT_THAT(campaign.warnings[1], HasSubstr("A = 100 is not larger than M = 112"));
}

TEST(Warning, SaysThatWithoutDataNothingCanBeTrained) {
  const LoadedCampaign campaign = load_campaign_text(with(kCampaign, "train: [{path: tok/train}], ", ""), "c.yaml");
  ASSERT_EQ(campaign.warnings.size(), 1u);
  EXPECT_THAT(campaign.warnings[0], HasSubstr("data.train is empty"));
}

TEST(Warning, IsNotGivenForAGoodCampaign) {
  EXPECT_TRUE(load_campaign_text(kCampaign, "c.yaml").warnings.empty());
}

}  // namespace
}  // namespace nexus::testing
