#include "data/bus_error.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "data/input_file.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

class BusError : public ::testing::Test {
 protected:
  // Three pages.
  static std::string make_file(const std::string& path) {
    std::ofstream(path) << std::string(3 * static_cast<size_t>(::getpagesize()), 'x');
    return path;
  }
  static char last_of(const MappedFile& file) { return *static_cast<const volatile char*>(&file.bytes().back()); }
  static void cut(const std::string& path) { std::filesystem::resize_file(path, 1); }

  TempFolder folder_;
};

using BusErrorDeathTest = BusError;

TEST_F(BusErrorDeathTest, BytesOfAMappedFileThatCannotBeHadEndTheProcessLikeAReadError) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::string path = make_file(folder_ / "tokens.bin"), other = make_file(folder_ / "other.bin");
  MappedFile first(other);
  const MappedFile moved(std::move(first));
  const MappedFile file(path);
  EXPECT_EQ(last_of(file), 'x');
  EXPECT_EXIT((cut(path), last_of(file)), ::testing::ExitedWithCode(74), "nexus: error: cannot read.*tokens.bin");
  EXPECT_EQ(last_of(moved), 'x');
  EXPECT_EXIT((cut(other), last_of(moved)), ::testing::ExitedWithCode(74), "other.bin");
}

TEST_F(BusErrorDeathTest, OtherBusErrorsAreLeftAlone) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::string path = make_file(folder_ / "tokens.bin");
  EXPECT_EXIT(
      {
        std::signal(SIGBUS, SIG_DFL);  // what a test program does without sanitizers
        const MappedFile file(path);
        std::raise(SIGBUS);
        std::raise(SIGBUS);
      },
      ::testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace nexus
