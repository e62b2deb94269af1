// A workload that is not text: a model of point sets, through the doors of model/workload.h.
#include "support/point_sets.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/dry_run.h"
#include "model/model.h"
#include "support/gradient_check.h"
#include "support/host_tensors.h"
#include "support/temp_folder.h"
#include "support/tiny_models.h"

namespace nexus {
namespace {

// Two points, one, and as many as there is room for when `context` is 4.
const std::vector<std::vector<float>> kSets = {{0.5f, -1, 2, 0.25f, 1, -0.5f},
                                               {1.5f, 0.5f, -0.25f},
                                               {1, 2, 3, -1, 0.5f, 0.25f, 0.75f, -2, 1, 0.125f, 0.375f, -1.5f}};
const std::vector<float> kTargets = {0.5f, -1, 2};

ModelConfig model_of(const std::string& arch) {
  ModelConfig config = testing::tiny_config(arch);
  config.workload = "point_sets";
  return config;
}

// A model with all sets as one micro-batch, in f64.
class Rig {
 public:
  Rig(const ModelConfig& config, const std::vector<std::vector<float>>& sets, int64_t context)
      : model_(config),
        backend_(make_cpu_backend(1)),
        params_(*backend_, model_.table(), DType::kF64),
        context_(context),
        samples_(static_cast<int64_t>(sets.size())),
        data_(model_.batch_fields(context), samples_),
        figures_(host_buffer(3 * samples_ * size_of(DType::kF64))) {
    testing::write_point_sets(folder_ / "sets", sets, kTargets);
    const auto set = workload("point_sets").open(folder_ / "sets", context, config);
    for (int64_t i = 0; i < samples_; ++i) set->fetch(i, data_.batch(), i);
    testing::draw_lively(params_);
    params_.zero_grad();
    int64_t bytes = 0;
    for (const ModelUse use : {ModelUse::kTraining, ModelUse::kEvaluation, ModelUse::kPrediction})
      bytes = std::max(bytes, dry_run(config, DType::kF64, samples_, context, use).arena_bytes);
    arena_ = testing::poisoned_arena(bytes);
  }

  Model& model() { return model_; }
  ParamStore& params() { return params_; }

  void forward_backward(double grad_scale) {
    model_.forward_backward(context(), data_.batch(), grad_scale, figures_.tensor(DType::kF64, {samples_, 1}));
  }
  // Squared error, target and its square of each sample.
  std::vector<double> evaluate() {
    const Tensor out = figures_.tensor(DType::kF64, {samples_, 3});
    model_.evaluate(context(), data_.batch(), out);
    return {out.as<double>(), out.as<double>() + out.count()};
  }
  std::vector<double> predict() {
    const Tensor out = figures_.tensor(DType::kF64, {samples_, 1});
    model_.predict(context(), data_.batch(), out);
    return {out.as<double>(), out.as<double>() + out.count()};
  }

 private:
  LayerContext context() { return {*backend_, arena_, params_, samples_, context_}; }

  TempFolder folder_;
  Model model_;
  std::unique_ptr<Backend> backend_;
  ParamStore params_;
  Arena arena_;
  int64_t context_, samples_;
  HostBatch data_;
  Buffer figures_;
};

class PointSets : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Architectures, PointSets, ::testing::Values("nexusformer", "tokenformer", "transformer"),
                         [](const auto& arch) { return arch.param; });

TEST_P(PointSets, HaveTheGradientOfFiniteDifferencesInEveryParameter) {
  Rig rig(model_of(GetParam()), kSets, 4);
  constexpr double kScale = 0.25;  // exact in binary, so it adds no rounding
  rig.forward_backward(kScale);
  testing::GradientCheck check([&] {
    const std::vector<double> figures = rig.evaluate();
    return kScale * (figures[0] + figures[3] + figures[6]);
  });
  for (int i = 0; i < rig.model().table().size(); ++i) {
    const Tensor weight = rig.params().weight(i);
    check.expect(rig.model().table()[i].name, weight.as<double>(), rig.params().grad(i).as<double>(), weight.count());
  }
}

TEST_P(PointSets, GiveFiguresOfWhatTheyPredict) {
  Rig rig(model_of(GetParam()), kSets, 4);
  const std::vector<double> predictions = rig.predict(), figures = rig.evaluate();
  for (size_t i = 0; i < kTargets.size(); ++i) {
    const double target = kTargets[i], error = predictions[i] - target;
    EXPECT_NEAR(figures[3 * i], error * error, 1e-12);  // f64 rounding
    EXPECT_EQ(figures[3 * i + 1], target);
    EXPECT_EQ(figures[3 * i + 2], target * target);
  }
}

// Sums over more terms, some of them zero, round otherwise.
constexpr double kRounding = 1e-12;

TEST_P(PointSets, DoNotSeeTheRoomThatTheyDoNotFill) {
  const std::vector<double> tight = Rig(model_of(GetParam()), kSets, 4).predict();
  const std::vector<double> roomy = Rig(model_of(GetParam()), kSets, 9).predict();
  for (size_t i = 0; i < tight.size(); ++i) EXPECT_NEAR(tight[i], roomy[i], kRounding);
}

TEST_P(PointSets, HaveNoOrder) {
  std::vector<std::vector<float>> turned = kSets;
  for (std::vector<float>& set : turned) std::rotate(set.begin(), set.begin() + testing::kFeatures, set.end());
  const std::vector<double> before = Rig(model_of(GetParam()), kSets, 4).predict();
  const std::vector<double> after = Rig(model_of(GetParam()), turned, 4).predict();
  for (size_t i = 0; i < before.size(); ++i) EXPECT_NEAR(before[i], after[i], kRounding);
}

}  // namespace
}  // namespace nexus
