#include "data/batch.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;

const BatchFields kFields = {{"points", DType::kF32, {3, 2}}, {"count", DType::kI32, {}}};

TEST(Batch, HoldsEveryFieldSampleBySample) {
  const HostBatch host(kFields, 5);
  EXPECT_EQ(host.batch().samples(), 5);
  EXPECT_EQ(host.batch().at("points").shape, (Shape{5, 3, 2}));
  EXPECT_EQ(host.batch().at("points").dtype, DType::kF32);
  EXPECT_EQ(host.batch().at("count").shape, (Shape{5}));
}

TEST(Batch, PartsViewTheSameMemory) {
  const HostBatch host(kFields, 5);
  const Batch part = host.batch().part(2, 2);
  EXPECT_EQ(part.samples(), 2);
  part.at("count").as<int32_t>()[1] = 7;
  EXPECT_EQ(host.batch().at("count").as<int32_t>()[3], 7);
  EXPECT_EQ(part.at("points").as<float>(), host.batch().at("points").as<float>() + 2 * 6);
}

TEST(Batch, NamesItsFieldsWhereOneIsMissing) {
  const HostBatch host(kFields, 1);
  EXPECT_NEXUS_ERROR(host.batch().at("tokens"), ErrorKind::kInternal,
                     HasSubstr("no field tokens, but points f32 [3, 2], count i32 []"));
}

TEST(BatchFields, JoinWithoutRepetition) {
  const BatchFields more = {{"count", DType::kI32, {}}, {"label", DType::kF64, {4}}};
  EXPECT_EQ(describe(joined(kFields, more)), "points f32 [3, 2], count i32 [], label f64 [4]");
}

TEST(BatchFields, OfOneNameAreAlike) {
  EXPECT_NEXUS_ERROR(joined(kFields, {{"count", DType::kF32, {}}}), ErrorKind::kInternal, HasSubstr("count f32"));
}

}  // namespace
}  // namespace nexus
