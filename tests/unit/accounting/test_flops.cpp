#include <gtest/gtest.h>

#include "accounting/flops.h"
#include "model/dry_run.h"
#include "support/expect_error.h"

namespace nexus {
namespace {

ModelConfig paper_shape() {
  ModelConfig config;
  config.d = 768;
  config.layers = config.heads = 12;
  config.counts["M"] = 1024;
  config.counts["A"] = 1280;
  config.counts["F"] = 2048;
  config.counts["V"] = 32000;
  config.validate();
  return config;
}

// What the definitions of accounting/flops.h give for this shape.
TEST(Flops, GemmCausalIs1469MegaflopsAt2048AndAt4096Is1582) {
  EXPECT_NEAR(training_flops_per_token(paper_shape(), 2048, FlopsDefinition::kGemmCausal) / 1e9, 1.469, 0.0005);
  EXPECT_NEAR(training_flops_per_token(paper_shape(), 4096, FlopsDefinition::kGemmCausal) / 1e9, 1.582, 0.0005);
}

// The formula counts what the code does: every product that a micro-batch issues, forward and backward.
TEST(Flops, GemmCausalEqualsTheProductsThatADryRunCounts) {
  for (const std::string arch : {"nexusformer", "tokenformer", "transformer"}) {
    ModelConfig config;
    config.arch = arch;
    config.d = 64;
    config.layers = 2;
    config.heads = 4;
    config.counts["M"] = 96;
    config.counts["A"] = 128;
    config.counts["F"] = 160;
    config.counts["n_qkv"] = config.counts["n_proj"] = 80;
    config.counts["n_ffn"] = 112;
    config.counts["V"] = 500;
    config.words["tie"] = arch == "tokenformer" ? "true" : "false";
    config.validate();
    const int64_t batch = 3, context = 40;
    const DryRun run = dry_run(config, DType::kF32, batch, context, ModelUse::kTraining);
    const double formula = training_flops_per_token(config, context, FlopsDefinition::kGemmCausal) * batch * context;
    EXPECT_DOUBLE_EQ(run.matmul_flops + run.attention_flops, formula) << arch;
  }
}

TEST(Flops, OtherDefinitionsAreTheirFormulas) {
  const ModelConfig config = paper_shape();
  // D M + M A + A D for q, k, v, o and D M + M F + F D for the MLP, two norms a layer, the final norm, embedding and
  // head.
  const double layer = 4.0 * (768 * 1024 + 1024 * 1280 + 1280 * 768) + 768 * 1024 + 1024 * 2048 + 2048 * 768 + 2 * 768;
  const double all = 12 * layer + 768 + 2.0 * 32000 * 768;
  EXPECT_DOUBLE_EQ(training_flops_per_token(config, 2048, FlopsDefinition::k6N), 6 * all);
  EXPECT_DOUBLE_EQ(training_flops_per_token(config, 2048, FlopsDefinition::kPalm), 6 * all + 12.0 * 12 * 768 * 2048);
  EXPECT_DOUBLE_EQ(training_flops_per_token(config, 2048, FlopsDefinition::k6NNonEmbedding),
                   6 * (all - 2.0 * 32000 * 768));
}

TEST(Flops, UnknownDefinitionNamesTheNearest) {
  EXPECT_NEXUS_ERROR(flops_definition("gemm_casual"), ErrorKind::kConfig,
                     ::testing::HasSubstr("did you mean gemm_causal"));
}

}  // namespace
}  // namespace nexus
