#include "sampling/generator.h"

#include <gtest/gtest.h>

#include "support/device.h"
#include "support/host_tensors.h"
#include "support/limited_backend.h"
#include "support/tiny_models.h"

namespace nexus {
namespace {

class GeneratorTest : public ::testing::TestWithParam<testing::NamedModel> {
 protected:
  explicit GeneratorTest(DType compute = DType::kF64)
      : params_(*backend_, model_.table(), compute, ParamStore::Use::kInference) {
    testing::draw_lively(params_);
  }

  // Logits of what follows all of `ids`, by one pass without a cache.
  std::vector<double> logits_without_cache(std::span<const int32_t> ids) {
    const int64_t context = std::ssize(ids), vocab = model_.config().count("V");
    const HostBatch host(model_.batch_fields(context), 1);
    std::ranges::copy(ids, host.batch().at("tokens").as<int32_t>());
    std::ranges::copy(ids, host.batch().at("targets").as<int32_t>());
    Arena arena(host_buffer(1 << 24));
    const Buffer memory = host_buffer(context * vocab * 8);
    const Tensor out = memory.tensor(params_.wide_dtype(), {1, context * vocab});
    model_.predict({*backend_, arena, params_, 1, context}, host.batch(), out);
    std::vector<double> last;
    for (int64_t i = (context - 1) * vocab; i < context * vocab; ++i)
      last.push_back(out.dtype == DType::kF64 ? out.as<double>()[i] : out.as<float>()[i]);
    return last;
  }

  void expect_the_same(int64_t length, const std::vector<int64_t>& pieces, double bound) {
    const std::vector<int32_t> ids = testing::random_tokens("ids", length, model_.config().count("V"));
    Generator generator(*backend_, *tp_, model_, params_, length);
    int64_t read = 0;
    for (const int64_t piece : pieces) {
      const std::vector<double> logits =
          generator.read(std::span(ids).subspan(static_cast<size_t>(read), static_cast<size_t>(piece)));
      read += piece;
      EXPECT_EQ(generator.length(), read);
      const std::vector<double> expected = logits_without_cache(std::span(ids).first(static_cast<size_t>(read)));
      ASSERT_EQ(logits.size(), expected.size());
      for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(logits[i], expected[i], bound) << "after " << read;
    }
  }

  std::unique_ptr<Backend> backend_ = make_cpu_backend(1);
  std::unique_ptr<Communicator> tp_ = make_self_communicator();
  Model model_{GetParam().config};
  ParamStore params_;
};
class GeneratorInF32 : public GeneratorTest {
 protected:
  GeneratorInF32() : GeneratorTest(DType::kF32) {}
};

// Logits of about 1, sums in another order. Blocks of keys have 64.
TEST_P(GeneratorTest, SaysWithACacheWhatAPassOverEverythingSays) {
  expect_the_same(80, {1, 2, 60, 1, 1, 1, 13, 1}, 1e-12);
}
TEST_P(GeneratorInF32, SaysWithACacheWhatAPassOverEverythingSays) {
  expect_the_same(70, {3, 60, 1, 1, 5}, 2e-5);
}

TEST_P(GeneratorTest, ReadsLongPromptsInPieces) {
  expect_the_same(1030, {1026, 1, 3}, 1e-12);
}

TEST_P(GeneratorTest, BeginsAnew) {
  Generator generator(*backend_, *tp_, model_, params_, 8);
  const std::vector<int32_t> first{1, 2, 3, 4, 5, 6, 7, 8}, second{9, 3};
  const std::vector<double> before = generator.read(second);
  generator.clear();
  generator.read(first);
  generator.clear();
  EXPECT_EQ(generator.read(second), before);
  EXPECT_THROW(generator.read(first), Error);  // nine do not fit behind
}

TEST_P(GeneratorTest, SaysWhatDoesNotFit) {
  testing::LimitedBackend limited(*backend_, 1000);
  EXPECT_THROW(Generator(limited, *tp_, model_, params_, 100), Error);
}

INSTANTIATE_TEST_SUITE_P(Tiny, GeneratorTest, ::testing::ValuesIn(testing::tiny_models()),
                         [](const auto& test) { return test.param.name; });
INSTANTIATE_TEST_SUITE_P(Tiny, GeneratorInF32, ::testing::ValuesIn(testing::tiny_models()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace nexus
