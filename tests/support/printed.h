// What a function prints.
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace nexus::testing {

struct Printed {
  std::string out, err;
};

template <typename Function>
Printed printed_by(Function function) {
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  function();
  Printed printed;
  printed.err = ::testing::internal::GetCapturedStderr();
  printed.out = ::testing::internal::GetCapturedStdout();
  return printed;
}

}  // namespace nexus::testing
