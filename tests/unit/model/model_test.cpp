// Whole models of every architecture: gradients, and the promises of model.h.
#include "model/model.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/gradient_check.h"
#include "support/model_rig.h"
#include "support/tiny_models.h"

namespace nexus {
namespace {

using testing::ModelRig;
using testing::NamedModel;
using testing::tiny_config;

class EveryModel : public ::testing::TestWithParam<NamedModel> {};

INSTANTIATE_TEST_SUITE_P(Models, EveryModel, ::testing::ValuesIn(testing::tiny_models()),
                         [](const auto& model) { return model.param.name; });

TEST_P(EveryModel, HasTheGradientOfFiniteDifferencesInEveryParameter) {
  ModelRig rig(GetParam().config);
  constexpr float kScale = 0.25f;  // exact in binary, so it adds no rounding
  rig.forward_backward(kScale);
  testing::GradientCheck check([&] {
    rig.evaluate();
    return kScale * rig.loss_sum();
  });
  for (int i = 0; i < rig.model().table().size(); ++i) {
    const Tensor weight = rig.params().weight(i);
    check.expect(rig.model().table()[i].name, weight.as<double>(), rig.params().grad(i).as<double>(), weight.count());
  }
}

TEST_P(EveryModel, GivesTheSameLossesInTrainingAndEvaluation) {
  ModelRig rig(GetParam().config);
  rig.forward_backward();
  const std::vector<double> trained = rig.losses();
  rig.evaluate();
  EXPECT_EQ(rig.losses(), trained);
}

TEST_P(EveryModel, HasLogitsWhoseSoftmaxGivesTheLosses) {
  ModelRig rig(GetParam().config);
  rig.evaluate();
  const std::vector<double> losses = rig.losses(), logits = rig.logits();
  const size_t vocab = static_cast<size_t>(rig.model().config().count("V"));
  for (size_t r = 0; r < losses.size(); ++r) {
    double sum = 0;
    for (size_t j = 0; j < vocab; ++j) sum += std::exp(logits[r * vocab + j]);
    const size_t target = static_cast<size_t>(rig.targets()[r]);
    EXPECT_NEAR(losses[r], std::log(sum) - logits[r * vocab + target], 1e-12);  // f64 rounding of 17 terms
  }
}

TEST_P(EveryModel, DoesNotLookAheadNorAcrossSequences) {
  ModelRig rig(GetParam().config);  // two sequences of five tokens
  const std::vector<double> before = rig.logits();
  rig.tokens()[3] = (rig.tokens()[3] + 1) % 17;
  const std::vector<double> after = rig.logits();
  const size_t vocab = 17;
  for (size_t i = 0; i < before.size(); ++i) {
    const size_t token = i / vocab;
    if (token == 3 || token == 4)
      EXPECT_NE(before[i], after[i]) << token;
    else
      EXPECT_EQ(before[i], after[i]) << token;
  }
}

TEST_P(EveryModel, AnnouncesEveryGradientOnceAndFinal) {
  ModelRig rig(GetParam().config);
  const ParamTable& table = rig.model().table();
  std::vector<std::vector<double>> announced(static_cast<size_t>(table.size()));
  const std::vector<Bucket> buckets = table.buckets();
  int expected = static_cast<int>(buckets.size()) - 1;  // from the end of the table to its start
  rig.forward_backward(1.0f, [&](int bucket) {
    EXPECT_EQ(bucket, expected--);
    const Bucket& ready = buckets[static_cast<size_t>(bucket)];
    for (int i = ready.first; i < ready.end; ++i)
      announced[static_cast<size_t>(i)] = ModelRig::wide_values(rig.params().grad(i));
  });
  EXPECT_EQ(expected, -1);
  for (int i = 0; i < table.size(); ++i)
    EXPECT_EQ(announced[static_cast<size_t>(i)], ModelRig::wide_values(rig.params().grad(i))) << table[i].name;
}

TEST_P(EveryModel, AddsTheGradientsOfMicroBatches) {
  ModelRig rig(GetParam().config);
  rig.forward_backward();
  const std::vector<double> once = rig.gradients();
  rig.forward_backward();
  const std::vector<double> twice = rig.gradients();
  for (size_t i = 0; i < once.size(); ++i)
    ASSERT_NEAR(twice[i], 2 * once[i], 1e-12 * (1 + std::abs(once[i])));  // f64 rounding of one more sum
}

double relative_distance(const std::vector<double>& a, const std::vector<double>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += a[i] * a[i];
  }
  return std::sqrt(difference / size);
}

void expect_close_to_f64(const ModelConfig& config, DType compute, double loss_tolerance, double gradient_tolerance) {
  ModelRig exact(testing::widened(config)), rounded(testing::widened(config), compute);
  exact.forward_backward();
  rounded.forward_backward();
  EXPECT_LT(relative_distance(exact.losses(), rounded.losses()), loss_tolerance);
  EXPECT_LT(relative_distance(exact.gradients(), rounded.gradients()), gradient_tolerance);
}

TEST_P(EveryModel, InF32IsCloseToF64) {
  // 2^-24 = 6e-8 per rounding; measured at most 2e-7 and 1.5e-6.
  expect_close_to_f64(GetParam().config, DType::kF32, 1e-6, 1e-5);
}

TEST_P(EveryModel, InBf16IsNearF64) {
  // 2^-9 = 2e-3 per rounding of an activation or weight; measured at most 5e-3 and 3e-2.
  expect_close_to_f64(GetParam().config, DType::kBF16, 2e-2, 1e-1);
}

TEST_P(EveryModel, IgnoresTargetsOfMinusOne) {
  ModelRig rig(GetParam().config);
  std::fill(rig.targets().begin(), rig.targets().end(), -1);
  rig.forward_backward();
  EXPECT_EQ(rig.loss_sum(), 0.0);
  for (const double gradient : rig.gradients()) ASSERT_EQ(gradient, 0.0);
}

TEST(Model, RefusesAnImpossibleConfiguration) {
  ModelConfig config = tiny_config("nexusformer");
  config.heads = 5;
  EXPECT_THROW(Model{config}, Error);
}

}  // namespace
}  // namespace nexus
