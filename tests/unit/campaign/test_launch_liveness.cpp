#include "campaign/launch_liveness.h"

#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

constexpr LeaseTimes kQuickTimes{0.05, 0.6, 0.3};

class LaunchLiveness : public ::testing::Test {
 protected:
  std::string file() const { return run_.lease_folder() + "/000001.json"; }
  nlohmann::json read() const { return nlohmann::json::parse(read_text_file(file())); }
  void change(const nlohmann::json& values) const {
    nlohmann::json record = read();
    record.update(values);
    replace_file(file(), record.dump());
  }
  void launch() const {
    const RunLease lease(
        run_, 1, 1, [](const std::string&) {}, kQuickTimes);
  }
  bool gone(const LeaseTimes& times = kQuickTimes) const { return launches_gone({run_}, {}, times)[0]; }

  TempFolder folder_;
  RunFolder run_{folder_.path()};
};

TEST_F(LaunchLiveness, IsTheProcessesWhereItRunsHere) {
  EXPECT_FALSE(gone()) << "there was no launch";
  {
    const RunLease lease(run_, 1, 1, [](const std::string&) {}, {100, 0.6, 0.3});
    EXPECT_FALSE(gone());
  }
  EXPECT_TRUE(gone()) << "it has let go, whatever STATUS says";
  change({{"released", false}, {"start_ticks", 1}});
  EXPECT_TRUE(gone()) << "its number belongs to another process";
}

TEST_F(LaunchLiveness, ElsewhereIsSeenByItsRenewals) {
  launch();
  change({{"released", false}, {"machine", "another"}});
  EXPECT_TRUE(gone());
  EXPECT_FALSE(launches_gone(
      {run_}, [](const LeaseRecord&) { return true; }, kQuickTimes)[0])
      << "Slurm says that it runs";
  nlohmann::json record = read();
  std::atomic<bool> over{false};
  std::thread owner([&] {
    for (int64_t renewals = 100; !over; ++renewals) {
      record["renewals"] = renewals;
      replace_file(file(), record.dump());
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  EXPECT_FALSE(gone({0.05, 60, 30}));
  over = true;
  owner.join();
}

// A clock that jumps, or that of another host, dates files as it likes.
TEST_F(LaunchLiveness, IsNotToldByTheAgeOfFiles) {
  const RunLease lease(run_, 1, 1, [](const std::string&) {}, {100, 0.6, 0.3});
  std::filesystem::last_write_time(file(), std::filesystem::file_time_type::clock::now() - std::chrono::hours(9));
  EXPECT_FALSE(gone());
}

TEST(StatusOfGone, SaysKilledForRunning) {
  EXPECT_EQ(
      status_of_gone("running stage s0 step 3 of 9 | generation 1"),
      "killed stage s0 step 3 of 9 | generation 1 | its process is gone; the same command goes on from its commit");
  EXPECT_EQ(status_of_gone("done | stages 1"), "done | stages 1");
}

}  // namespace
}  // namespace nexus
