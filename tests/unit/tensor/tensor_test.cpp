#include "tensor/tensor.h"

#include <cstdint>
#include <numeric>
#include <vector>

#include "support/expect_error.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;

TEST(Shape, CountsPrintsAndCompares) {
  const Shape shape{3, 256, 192};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape.count(), 3 * 256 * 192);
  EXPECT_EQ(shape.str(), "[3, 256, 192]");
  EXPECT_EQ(shape, (Shape{3, 256, 192}));
  EXPECT_FALSE(shape == (Shape{3, 256}));
  EXPECT_FALSE((Shape{3, 0}) == Shape{3});
}

TEST(Shape, OfRankZeroIsAScalar) {
  EXPECT_EQ(Shape().rank(), 0);
  EXPECT_EQ(Shape().count(), 1);
  EXPECT_EQ(Shape().str(), "[]");
}

TEST(Shape, MayBeEmpty) {
  EXPECT_EQ((Shape{4, 0, 2}).count(), 0);
}

TEST(Shape, RefusesMoreThanFourExtents) {
  EXPECT_NEXUS_ERROR((Shape{1, 2, 3, 4, 5}), ErrorKind::kInternal, HasSubstr("rank 5"));
}

TEST(Shape, CountsBeyondThirtyTwoBits) {
  EXPECT_EQ((Shape{1 << 20, 1 << 20}).count(), int64_t{1} << 40);
}

// Twelve floats 0..11 as a tensor of 4 rows.
class View : public ::testing::Test {
 protected:
  View() { std::iota(values_.begin(), values_.end(), 0.0f); }
  std::vector<float> values_ = std::vector<float>(12);
  Tensor tensor_{values_.data(), DType::kF32, {4, 3}};
};

TEST_F(View, OfRowsStartsAtTheirMemory) {
  const Tensor rows = tensor_.rows(1, 2);
  EXPECT_EQ(rows.shape, (Shape{2, 3}));
  EXPECT_EQ(rows.size_bytes(), 24);
  EXPECT_EQ(rows.as<float>()[0], 3.0f);
  EXPECT_EQ(tensor_.rows(4, 0).count(), 0);
}

TEST_F(View, OfFlatElementsCrossesRows) {
  const Tensor flat = tensor_.flat(2, 5);
  EXPECT_EQ(flat.shape, Shape{5});
  EXPECT_EQ(flat.as<float>()[0], 2.0f);
  EXPECT_EQ(flat.as<float>()[4], 6.0f);
}

TEST_F(View, ReshapedSharesMemory) {
  const Tensor other = tensor_.reshaped({2, 2, 3});
  EXPECT_EQ(other.data, tensor_.data);
  EXPECT_EQ(other.rows(1, 1).as<float>()[0], 6.0f);
}

TEST_F(View, RefusesWhatLiesOutside) {
  EXPECT_NEXUS_ERROR(tensor_.rows(3, 2), ErrorKind::kInternal, HasSubstr("rows 3+2 of [4, 3]"));
  EXPECT_NEXUS_ERROR(tensor_.rows(-1, 1), ErrorKind::kInternal, HasSubstr("rows -1+1"));
  EXPECT_NEXUS_ERROR(tensor_.rows(1, -1), ErrorKind::kInternal, HasSubstr("rows 1+-1"));
  EXPECT_NEXUS_ERROR(tensor_.flat(10, 3), ErrorKind::kInternal, HasSubstr("rows 10+3 of [12]"));
  EXPECT_NEXUS_ERROR(tensor_.reshaped({5, 2}), ErrorKind::kInternal, HasSubstr("[4, 3] as [5, 2]"));
}

TEST_F(View, RefusesAnotherElementType) {
  EXPECT_NEXUS_ERROR(tensor_.as<double>(), ErrorKind::kInternal, HasSubstr("tensor holds f32"));
}

TEST(NullTensor, HasShapesAndSizesWithoutMemory) {
  const Tensor tensor{nullptr, DType::kBF16, {4, 3}};
  EXPECT_TRUE(tensor.defined());
  EXPECT_FALSE(Tensor().defined());
  EXPECT_EQ(tensor.size_bytes(), 24);
  EXPECT_EQ(tensor.rows(2, 2).data, nullptr);
  EXPECT_EQ(tensor.flat(2, 2).data, nullptr);
}

TEST(Buffer, FreesItsMemoryOnceAfterMoves) {
  int freed = 0, memory = 0;
  {
    Buffer first(&memory, 4, [&](void*) { ++freed; });
    Buffer second(std::move(first));
    Buffer third;
    third = std::move(second);
    EXPECT_EQ(third.data(), &memory);
    EXPECT_EQ(third.size_bytes(), 4);
    EXPECT_EQ(freed, 0);
  }
  EXPECT_EQ(freed, 1);
}

TEST(Buffer, FreesWhatItHeldWhenAssigned) {
  int freed = 0, memory = 0;
  {
    Buffer held(&memory, 4, [&](void*) { ++freed; });
    held = Buffer();
    EXPECT_EQ(freed, 1);
    EXPECT_EQ(held.data(), nullptr);
  }
  EXPECT_EQ(freed, 1);
}

TEST(Buffer, GivesTensorsThatFitOnly) {
  const Buffer buffer = host_buffer(64);
  EXPECT_EQ(buffer.tensor(DType::kF32, {4}, 16).data, static_cast<char*>(buffer.data()) + 16);
  EXPECT_EQ(buffer.tensor(DType::kF32, {16}).count(), 16);
  EXPECT_NEXUS_ERROR(buffer.tensor(DType::kF32, {17}), ErrorKind::kInternal, HasSubstr("f32 of [17] in 64 bytes"));
  EXPECT_NEXUS_ERROR(buffer.tensor(DType::kF64, {8}, 8), ErrorKind::kInternal, HasSubstr("in 64 bytes"));
  EXPECT_NEXUS_ERROR(buffer.tensor(DType::kF32, {1}, -4), ErrorKind::kInternal, HasSubstr("in 64 bytes"));
}

TEST(HostBuffer, IsAlignedAndAsLargeAsAsked) {
  for (const int64_t size : {0, 1, 63, 64, 65, 1000}) {
    const Buffer buffer = host_buffer(size);
    EXPECT_EQ(buffer.size_bytes(), size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
  }
}

TEST(HostBuffer, SaysWhatToDoWhenMemoryIsShort) {
  EXPECT_NEXUS_ERROR(host_buffer(int64_t{1} << 60), ErrorKind::kConfig, HasSubstr("use a smaller batch.micro"));
}

}  // namespace
}  // namespace nexus
