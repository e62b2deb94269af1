#include "tensor/arena.h"

#include "support/expect_error.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;

int64_t offset_of(const Tensor& tensor, const Tensor& base) {
  return static_cast<char*>(tensor.data) - static_cast<char*>(base.data);
}

TEST(Arena, PlacesTensorsOneAfterAnotherAligned) {
  Arena arena(host_buffer(4096));
  const Tensor a = arena.alloc(DType::kF32, {3});
  const Tensor b = arena.alloc(DType::kF64, {100});
  const Tensor c = arena.alloc(DType::kBF16, {1});
  EXPECT_EQ(offset_of(b, a), 256);
  EXPECT_EQ(offset_of(c, a), 256 + 1024);
  EXPECT_EQ(c.dtype, DType::kBF16);
  EXPECT_EQ(arena.used_bytes(), 256 + 1024 + 256);
}

TEST(Arena, FrameGivesItsMemoryBackAndTheSameAddressesAgain) {
  Arena arena(host_buffer(4096));
  const Tensor kept = arena.alloc(DType::kF32, {64});
  void* inner = nullptr;
  for (int pass = 0; pass < 2; ++pass) {
    const Arena::Frame frame(arena);
    const Tensor temporary = arena.alloc(DType::kF32, {128});
    if (pass == 0) inner = temporary.data;
    EXPECT_EQ(temporary.data, inner);
  }
  EXPECT_EQ(arena.used_bytes(), kept.size_bytes());
  EXPECT_EQ(arena.peak_bytes(), kept.size_bytes() + 512);
}

TEST(Arena, FramesNest) {
  Arena arena(host_buffer(4096));
  {
    const Arena::Frame outer(arena);
    arena.alloc(DType::kF32, {64});
    {
      const Arena::Frame inner(arena);
      arena.alloc(DType::kF32, {64});
      EXPECT_EQ(arena.used_bytes(), 512);
    }
    EXPECT_EQ(arena.used_bytes(), 256);
  }
  EXPECT_EQ(arena.used_bytes(), 0);
  EXPECT_EQ(arena.peak_bytes(), 512);
}

TEST(Arena, FrameEndsWhenAnExceptionLeavesIt) {
  Arena arena(host_buffer(256));
  EXPECT_NEXUS_ERROR(
      {
        const Arena::Frame frame(arena);
        arena.alloc(DType::kF32, {1000});
      },
      ErrorKind::kInternal, HasSubstr("f32 of [1000] needs 4096 bytes of 256"));
  EXPECT_EQ(arena.used_bytes(), 0);
}

TEST(Arena, FitsExactlyItsCapacity) {
  Arena arena(host_buffer(512));
  arena.alloc(DType::kF32, {64});
  arena.alloc(DType::kF32, {64});
  EXPECT_NEXUS_ERROR(arena.alloc(DType::kF32, {1}), ErrorKind::kInternal, HasSubstr("needs 768 bytes of 512"));
}

// What a real step does, in small: the counting run must predict exactly what the real one uses.
void some_step(Arena& arena) {
  arena.alloc(DType::kF32, {10, 7});
  {
    const Arena::Frame frame(arena);
    arena.alloc(DType::kF64, {33});
    arena.alloc(DType::kBF16, {5, 5, 5});
  }
  arena.alloc(DType::kI32, {3});
}

TEST(CountingArena, PredictsThePeakOfTheRealRunWithoutMemory) {
  Arena counting;
  EXPECT_TRUE(counting.counting());
  some_step(counting);
  Arena real(host_buffer(counting.peak_bytes()));
  EXPECT_FALSE(real.counting());
  some_step(real);
  EXPECT_EQ(real.peak_bytes(), counting.peak_bytes());
  EXPECT_EQ(real.peak_bytes(), real.capacity_bytes());
}

TEST(CountingArena, HandsOutNullTensorsOfAnySize) {
  Arena arena;
  const Tensor huge = arena.alloc(DType::kF32, {int64_t{1} << 40});
  EXPECT_EQ(huge.data, nullptr);
  EXPECT_EQ(arena.peak_bytes(), int64_t{1} << 42);
}

}  // namespace
}  // namespace nexus
