// A run folder that is removed at the end of a test, and a small model's tensors to save into it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/fault_points.h"
#include "core/files.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {

namespace fs = std::filesystem;

inline bool is_after_commit(std::string_view point) {
  const auto committed = std::find(kFaultPoints.begin(), kFaultPoints.end(), kFirstPointAfterCommit);
  return std::find(committed, kFaultPoints.end(), point) != kFaultPoints.end();
}

class ScratchRun : public ::testing::Test {
 protected:
  // Two tensors whose values follow from `seed`; "bias" is f64 and in two slices.
  std::vector<TensorSlice> slices(int seed) {
    weight_.assign(6 * 5, 0.0f);
    bias_.assign(7, 0.0);
    std::iota(weight_.begin(), weight_.end(), static_cast<float>(seed));
    std::iota(bias_.begin(), bias_.end(), seed + 0.5);
    return {{"master/layers.0.w", DType::kF32, {6, 5}, {0, 6, 0, 5}, weight_.data()},
            {"master/bias", DType::kF64, {7}, {4, 3, 0, 1}, bias_.data() + 4},
            {"master/bias", DType::kF64, {7}, {0, 4, 0, 1}, bias_.data()}};
  }

  SaveResult save(int64_t step, const nlohmann::json& extra = {}, const std::string& stage = "s1") {
    nlohmann::json state = {{"tokens", step * 1000}, {"loss", 2.5}};
    if (extra.is_object()) state.update(extra);
    return save_checkpoint(*comm_, run_, {"run-a", stage, step}, slices(static_cast<int>(step)), state);
  }

  // Whether the checkpoint holds what save(step) wrote.
  void expect_holds(const std::string& path, int64_t step) {
    const Checkpoint checkpoint(path);
    const std::vector<TensorSlice> meant = slices(static_cast<int>(step));
    std::vector<float> weight(weight_.size());
    std::vector<double> bias(bias_.size());
    checkpoint.read("master/layers.0.w", {0, 6, 0, 5}, weight.data());
    checkpoint.read("master/bias", {0, 7, 0, 1}, bias.data());
    EXPECT_EQ(weight, weight_);
    EXPECT_EQ(bias, bias_);
    EXPECT_EQ(checkpoint.id().step, step);
    EXPECT_EQ(checkpoint.state().at("tokens"), step * 1000);
  }

  // Names inside a stage folder.
  std::vector<std::string> names(const std::string& stage = "s1") const {
    std::vector<std::string> found;
    if (fs::exists(run_.checkpoints() + "/" + stage))
      for (const auto& entry : fs::directory_iterator(run_.checkpoints() + "/" + stage))
        found.push_back(entry.path().filename().string());
    std::sort(found.begin(), found.end());
    return found;
  }

  static void overwrite(const std::string& path, const std::string& content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  }

  static void flip_bit(const std::string& path, int64_t byte, int bit) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(byte);
    const auto value = static_cast<char>(file.get() ^ (1 << bit));
    file.seekp(byte);
    file.put(value);
  }

  TempFolder folder_;
  RunFolder run_{folder_.path()};
  std::unique_ptr<Communicator> comm_ = make_self_communicator();

 private:
  std::vector<float> weight_;
  std::vector<double> bias_;
};

}  // namespace nexus
