// Runs the tests where there is a GPU; otherwise says so and exits with the code that ctest shows as skipped.
#include <gtest/gtest.h>

#include <cstdio>

#include "cuda/devices.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (nexus::cuda_devices().empty()) {
    std::printf("skipped: %s\n", nexus::cuda_description().c_str());
    return 77;
  }
  return RUN_ALL_TESTS();
}
