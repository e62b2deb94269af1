// Leaving is tested in processes of their own: EXPECT_EXIT forks.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

#include "comm/abort_hooks.h"

namespace nexus {
namespace {

[[noreturn]] void hang() {
  for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
}

[[noreturn]] void leave(int code, double patience_seconds) {
  run_abort_hooks(patience_seconds);
  ::_exit(code);
}

auto says(const char* text) {
  return [text] { std::fputs(text, stderr); };
}

// Threads do not survive a fork, so the child starts anew.
class AbortHooks : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(AbortHooks, RunBeforeTheProcessLeaves) {
  const AbortHook hook = add_abort_hook(says("let go"));
  EXPECT_EXIT(leave(74, 5), testing::ExitedWithCode(74), "let go");
}

TEST_F(AbortHooks, NoneIsNeeded) {
  EXPECT_FALSE(run_abort_hooks(5));
  const AbortHook still_possible = add_abort_hook([] {});
}

TEST_F(AbortHooks, WhatHangsOrThrowsStopsNeitherTheOthersNorTheLeaving) {
  const AbortHook first = add_abort_hook(hang);
  const AbortHook second = add_abort_hook([] { throw std::runtime_error("no"); });
  const AbortHook third = add_abort_hook(says("let go"));
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EXIT(leave(74, 2), testing::ExitedWithCode(74), "let go");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(300));
}

TEST_F(AbortHooks, ASecondThreadThatLeavesDoesNotRunThemAgain) {
  const AbortHook hook = add_abort_hook([] {
    std::fputs("once;", stderr);
    hang();
  });
  const auto leave_twice = [] {
    std::thread([] { leave(74, 0.5); }).detach();
    leave(74, 0.5);
  };
  EXPECT_EXIT(leave_twice(), testing::ExitedWithCode(74), "^once;$");
}

TEST_F(AbortHooks, EndWithTheirRegistration) {
  {
    AbortHook moved;
    AbortHook hook = add_abort_hook(says("gone"));
    moved = std::move(hook);
  }
  const AbortHook kept = add_abort_hook(says("kept"));
  EXPECT_EXIT(leave(74, 5), testing::ExitedWithCode(74), "^kept$");
}

}  // namespace
}  // namespace nexus
