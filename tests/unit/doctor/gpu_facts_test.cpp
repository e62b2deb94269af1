#include "doctor/gpu_facts.h"

#include <gtest/gtest.h>

#include "unit/doctor/finding_support.h"

namespace nexus {
namespace {

// index, name, driver, memory, used, MIG, persistence, compute mode, ECC, uncorrected errors
constexpr const char* kGood = "0, NVIDIA H200, 570.86.15, 143771, 1, Disabled, Enabled, Default, Enabled, 0\n";

TEST(GpuRows, AGoodGpuIsOneShortLine) {
  const std::vector<Finding> findings = judge_gpu_rows(parse_gpu_rows(kGood));
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].what, "driver 570.86.15: 1 GPU, NVIDIA H200, 143771 MiB");
  EXPECT_EQ(findings[0].level, Level::kOk);
}

TEST(GpuRows, TroubleOfEveryKindIsFoundOnItsGpu) {
  const std::vector<Finding> findings = judge_gpu_rows(parse_gpu_rows(
      std::string(kGood) + "1, NVIDIA A100, 570.86.15, 40960, 30000, Enabled, Disabled, Prohibited, Disabled, 3\n"));
  EXPECT_EQ(level_of(findings, "GPU 1 has had 3 uncorrected memory errors"), "problem");
  EXPECT_EQ(level_of(findings, "GPU 1 is closed to computing"), "problem");
  EXPECT_EQ(level_of(findings, "GPU 1 runs without ECC"), "note");
  EXPECT_EQ(level_of(findings, "GPU 1 is cut into MIG instances"), "note");
  EXPECT_EQ(level_of(findings, "GPU 1: 30000 of 40960 MiB"), "note");
  EXPECT_EQ(level_of(findings, "the GPUs of this node differ"), "warning");
  EXPECT_EQ(level_of(findings, "persistence mode is off"), "note");
  EXPECT_EQ(find(findings, "GPU 0 "), nullptr);
  EXPECT_TRUE(all_have_cures(findings));
}

TEST(GpuRows, WhatTheDriverDoesNotTellIsNoTrouble) {
  const std::vector<Finding> findings =
      judge_gpu_rows(parse_gpu_rows("0, NVIDIA GeForce, 570.1, 8192, 10, [N/A], Enabled, Default, [N/A], [N/A]\n"));
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].level, Level::kOk);
}

TEST(GpuRows, OtherLinesAreLeftOut) {
  EXPECT_TRUE(parse_gpu_rows("NVIDIA-SMI has failed because it couldn't communicate with the driver\n\n").empty());
  EXPECT_TRUE(judge_gpu_rows({}).empty());
}

}  // namespace
}  // namespace nexus
