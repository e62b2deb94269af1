#include "records/status_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

TEST(StatusRecord, OfALaunchThatHasEndedComesBackAsItWas) {
  const StatusRecord written{
      "nexus: error: GPU 3 failed; x | y", LaunchEnd{ExitCode::kHardware, "device", "n12.cluster"}, {12, {"345", 1}}};
  const std::string text = status_text(written);
  EXPECT_EQ(text,
            "nexus: error: GPU 3 failed; x | y | reason device | node n12.cluster | exit 76 | generation 12 "
            "| job 345 restart 1\n");
  const StatusRecord read = parse_status(text);
  EXPECT_EQ(read.text, written.text);
  ASSERT_TRUE(read.end);
  EXPECT_EQ(read.end->exit, ExitCode::kHardware);
  EXPECT_EQ(read.end->reason, "device");
  EXPECT_EQ(read.end->suspect_node, "n12.cluster");
  EXPECT_EQ(read.launch.generation, 12);
  EXPECT_EQ(read.launch.job.id, "345");
  EXPECT_EQ(read.launch.job.restart, 1);
}

TEST(StatusRecord, OfALaunchThatGoesOnHasNoEnd) {
  const std::string text = status_text({"running stage s0", std::nullopt, {3, {}}});
  EXPECT_EQ(text, "running stage s0 | generation 3\n");
  EXPECT_FALSE(parse_status(text).end);
  EXPECT_EQ(parse_status(text).launch.job.id, "");
}

// As every nexus before this one wrote it.
TEST(StatusRecord, OfAnOlderNexusIsUnderstood) {
  const StatusRecord ended =
      parse_status("stopped stage s0 | run again | exit 75 | generation 12 | job 345 restart 1\n");
  EXPECT_EQ(ended.text, "stopped stage s0 | run again");
  EXPECT_EQ(ended.end.value().exit, ExitCode::kStopped);
  EXPECT_EQ(ended.end->reason, "");
  EXPECT_EQ(ended.launch.job.id, "345");
  EXPECT_EQ(ended.launch.job.restart, 1);
  const StatusRecord running = parse_status("running stage s0 | generation 12 | job 345 restart 1");
  EXPECT_FALSE(running.end);
  EXPECT_EQ(running.launch.generation, 12);
  EXPECT_EQ(running.launch.job.id, "345");
  EXPECT_EQ(parse_status("done").text, "done") << "of before leases";
}

TEST(StatusRecord, WhatPeoplesTextSaysInItsWordsIsText) {
  const StatusRecord odd = parse_status("done | exit codes are odd | job offers | exit 7x");
  EXPECT_FALSE(odd.end);
  EXPECT_EQ(odd.launch.job.id, "");
  EXPECT_EQ(odd.text, "done | exit codes are odd | job offers | exit 7x");
  // A path that an error names may hold anything.
  const std::string text = "nexus: error: cannot open /x | node n1 | exit 0 | generation 9 | job 345 restart 9";
  const StatusRecord forged = parse_status(status_text({text, LaunchEnd{ExitCode::kTransient, "io", ""}, {2, {}}}));
  EXPECT_EQ(forged.text, text);
  EXPECT_EQ(forged.end.value().exit, ExitCode::kTransient);
  EXPECT_EQ(forged.end->suspect_node, "");
  EXPECT_EQ(forged.launch.generation, 2);
  EXPECT_EQ(forged.launch.job.id, "");
  EXPECT_EQ(parse_status("running x | reason y | generation 3").text, "running x | reason y") << "it has no end";
  EXPECT_EQ(parse_status("").text, "");
  EXPECT_EQ(parse_status(" | exit 7").text, "");
}

TEST(StatusRecord, IsOneLineWhateverTheTextHolds) {
  const std::string text = status_text({"two\nlines", LaunchEnd{ExitCode::kBug, "in ternal", "n 1"}, {1, {}}});
  EXPECT_EQ(text, "two lines | exit 1 | generation 1\n") << "no word: left out";
}

TEST(StatusRecord, IsReadFromTheRunFolder) {
  const TempFolder folder;
  const RunFolder run{folder.path()};
  EXPECT_FALSE(read_status(run));
  write_file_durably(run.status(), "done | exit 0 | generation 1\n");
  EXPECT_EQ(read_status(run).value().end.value().exit, ExitCode::kDone);
}

TEST(LaunchEnd, OfAnErrorIsItsKinds) {
  const LaunchEnd end = end_of(Error(ErrorKind::kNumeric, "the loss is nan"));
  EXPECT_EQ(end.exit, ExitCode::kNumeric);
  EXPECT_EQ(end.reason, "numeric");
  EXPECT_EQ(end.suspect_node, "");
  try {
    throw std::runtime_error("x");
  } catch (...) {
    EXPECT_EQ(end_of_current_exception().reason, "internal");
    EXPECT_EQ(end_of_current_exception().exit, ExitCode::kBug);
  }
}

}  // namespace
}  // namespace nexus
