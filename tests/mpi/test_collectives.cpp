// Collectives on tensors against a serial reference, bit for bit: the sum over ranks is taken in rank order, whatever
// the type, the size, the cut and the order in which requests are poked.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <type_traits>
#include <vector>

#include "comm/communicator.h"
#include "support/mpi_expect.h"

namespace nexus {
namespace {

template <typename T>
using Values = std::vector<T>;

template <typename T>
T round_to(double value) {
  if constexpr (std::is_same_v<T, Bf16>)
    return Bf16(static_cast<float>(value));
  else
    return static_cast<T>(value);
}

template <typename T>
auto wide(T value) {
  if constexpr (std::is_same_v<T, Bf16>)
    return static_cast<float>(value);
  else
    return value;
}

template <typename T>
Tensor tensor_of(Values<T>& values) {
  return {values.data(), DTypeOf<T>::value, {static_cast<int64_t>(values.size())}};
}

template <typename T>
bool same_bits(const T* a, const T* b, size_t count) {
  return count == 0 || std::memcmp(a, b, count * sizeof(T)) == 0;
}

// What rank `rank` contributes: magnitudes over six decades, so that every other order of summation rounds differently.
template <typename T>
Values<T> contribution(int rank, size_t count, uint32_t seed) {
  std::mt19937 random(seed * 1000 + static_cast<uint32_t>(rank));
  std::uniform_real_distribution<double> mantissa(-1, 1), exponent(-3, 3);
  Values<T> values(count);
  for (T& value : values) value = round_to<T>(mantissa(random) * std::pow(10.0, exponent(random)));
  return values;
}

// The promise of communicator.h in plain loops, over the ranks in the order of `ranks`.
template <typename T>
Values<T> serial_sum(const std::vector<int>& ranks, size_t count, uint32_t seed) {
  Values<decltype(wide(T{}))> sums(count);
  for (size_t r = 0; r < ranks.size(); ++r) {
    const Values<T> part = contribution<T>(ranks[r], count, seed);
    for (size_t i = 0; i < count; ++i) sums[i] = r == 0 ? wide(part[i]) : sums[i] + wide(part[i]);
  }
  Values<T> rounded(count);
  for (size_t i = 0; i < count; ++i) rounded[i] = T(sums[i]);
  return rounded;
}

std::vector<int> ranks_below(int size) {
  std::vector<int> ranks;
  for (int r = 0; r < size; ++r) ranks.push_back(r);
  return ranks;
}

std::string case_name(Communicator& comm, DType dtype, size_t count) {
  return fmt::format("rank {} of {} {}, {} x {}", comm.rank(), comm.size(), comm.name(), count, name_of(dtype));
}

template <typename T>
void all_reduce_sums_in_rank_order(Communicator& comm, size_t count) {
  const uint32_t seed = static_cast<uint32_t>(count);
  const std::string where = case_name(comm, DTypeOf<T>::value, count);
  Values<T> x = contribution<T>(comm.rank(), count, seed);
  comm.all_reduce_sum(tensor_of(x));
  const Values<T> expected = serial_sum<T>(ranks_below(comm.size()), count, seed);
  MPI_EXPECT(same_bits(x.data(), expected.data(), count), where);
}

// Out of place and in place; the parts that are not mine stay as they were; a gather completes the all-reduce.
template <typename T>
void reduce_scatter_and_all_gather_are_an_all_reduce(Communicator& comm, size_t part) {
  const auto rank = static_cast<size_t>(comm.rank()), size = static_cast<size_t>(comm.size());
  const size_t count = part * size;
  const uint32_t seed = 7 + static_cast<uint32_t>(count);
  const std::string where = case_name(comm, DTypeOf<T>::value, count);
  const Values<T> expected = serial_sum<T>(ranks_below(comm.size()), count, seed);
  const Values<T> original = contribution<T>(comm.rank(), count, seed);

  Values<T> x = original, mine(part), all(count);
  comm.reduce_scatter_sum(tensor_of(x), tensor_of(mine));
  MPI_EXPECT(same_bits(x.data(), original.data(), count), where);
  MPI_EXPECT(same_bits(mine.data(), expected.data() + rank * part, part), where);
  comm.all_gather(tensor_of(mine), tensor_of(all));
  MPI_EXPECT(same_bits(all.data(), expected.data(), count), where);

  const Tensor own = tensor_of(x).flat(static_cast<int64_t>(rank * part), static_cast<int64_t>(part));
  comm.reduce_scatter_sum(tensor_of(x), own);
  Values<T> untouched = original;
  std::copy_n(expected.begin() + static_cast<std::ptrdiff_t>(rank * part), part,
              untouched.begin() + static_cast<std::ptrdiff_t>(rank * part));
  MPI_EXPECT(same_bits(x.data(), untouched.data(), count), where);
  comm.all_gather(own, tensor_of(x));
  MPI_EXPECT(same_bits(x.data(), expected.data(), count), where);

  Values<T> reduced = original;
  comm.all_reduce_sum(tensor_of(reduced));
  MPI_EXPECT(same_bits(reduced.data(), all.data(), count), where);
}

template <typename T>
void all_sums(Communicator& comm) {
  for (const size_t count : {0, 1, 2, 3, 5, 1023, 70001}) all_reduce_sums_in_rank_order<T>(comm, count);
  for (const size_t part : {0, 1, 5, 1025, 30000}) reduce_scatter_and_all_gather_are_an_all_reduce<T>(comm, part);
}

void all_types(Communicator& comm) {
  all_sums<float>(comm);
  all_sums<double>(comm);
  all_sums<Bf16>(comm);
}

// A rounding after every term would lose all the small ones: 256 + 1 = 256 in bf16.
void bf16_rounds_once_at_the_end(Communicator& world) {
  if (world.size() < 3) return;
  Values<Bf16> x(1, Bf16(world.rank() == 0 ? 256.0f : 1.0f));
  world.all_reduce_sum(tensor_of(x));
  const Bf16 expected(255.0f + static_cast<float>(world.size()));
  MPI_EXPECT(x[0].bits == expected.bits && x[0].bits != Bf16(256.0f).bits, std::to_string(static_cast<float>(x[0])));
}

struct Flying {
  Values<float> x;
  Values<float> expected;
  Communicator::Request request;
};

// Every rank pokes in its own order; the waits come in the order of `order`, the same on every rank.
void requests_fly_in_any_order(Communicator& comm, uint32_t round) {
  constexpr size_t kRequests = 12;
  const auto rank = static_cast<size_t>(comm.rank()), size = static_cast<size_t>(comm.size());
  std::vector<Flying> all(kRequests);
  std::mt19937 same(round), own(round * 100 + static_cast<uint32_t>(rank));
  const auto poke_some = [&] {
    for (int i = 0; i < 5; ++i) all[own() % kRequests].request.poke();
  };
  for (size_t i = 0; i < kRequests; ++i) {
    const size_t part = 100 + 977 * i, count = part * size;
    const uint32_t seed = round * 50 + static_cast<uint32_t>(i);
    Flying& flying = all[i];
    flying.x = contribution<float>(comm.rank(), count, seed);
    flying.expected = serial_sum<float>(ranks_below(comm.size()), count, seed);
    const Tensor x = tensor_of(flying.x);
    const Tensor mine = x.flat(static_cast<int64_t>(rank * part), static_cast<int64_t>(part));
    if (i % 3 == 0) {
      flying.request = comm.start_all_reduce_sum(x);
    } else if (i % 3 == 1) {
      flying.request = comm.start_reduce_scatter_sum(x, mine);
    } else {  // the expected sums, from their parts
      std::copy_n(flying.expected.begin() + static_cast<std::ptrdiff_t>(rank * part), part,
                  flying.x.begin() + static_cast<std::ptrdiff_t>(rank * part));
      flying.request = comm.start_all_gather(mine, x);
    }
    poke_some();
  }
  std::vector<size_t> order(kRequests);
  for (size_t i = 0; i < kRequests; ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), same);
  for (const size_t i : order) {
    poke_some();
    all[i].request.wait();
    const size_t part = all[i].x.size() / size, from = i % 3 == 1 ? rank * part : 0;
    const size_t checked = i % 3 == 1 ? part : all[i].x.size();
    MPI_EXPECT(same_bits(all[i].x.data() + from, all[i].expected.data() + from, checked),
               fmt::format("round {} request {} rank {}", round, i, rank));
  }
}

// Without a poke, the gather of the first request starts inside the wait for the second.
void a_later_request_may_be_waited_for_first(Communicator& comm) {
  constexpr size_t kCount = 300000;  // larger than what MPI sends before the receiver is ready
  Values<double> a = contribution<double>(comm.rank(), kCount, 1), b = contribution<double>(comm.rank(), kCount, 2);
  Communicator::Request first = comm.start_all_reduce_sum(tensor_of(a));
  Communicator::Request second = comm.start_all_reduce_sum(tensor_of(b));
  second.wait();
  MPI_EXPECT(same_bits(b.data(), serial_sum<double>(ranks_below(comm.size()), kCount, 2).data(), kCount), "second");
  first.wait();
  MPI_EXPECT(same_bits(a.data(), serial_sum<double>(ranks_below(comm.size()), kCount, 1).data(), kCount), "first");
}

void groups_sum_over_their_own_ranks(Communicator& world) {
  const int rank = world.rank(), size = world.size();
  const auto group = world.split(rank % 2, -rank, "half");  // the highest rank comes first
  MPI_EXPECT(group->name() == "half", group->name());
  std::vector<int> members;
  for (int r = size - 1; r >= 0; --r)
    if (r % 2 == rank % 2) members.push_back(r);
  MPI_EXPECT(group->size() == static_cast<int>(members.size()), std::to_string(group->size()));
  MPI_EXPECT(members[static_cast<size_t>(group->rank())] == rank, std::to_string(group->rank()));
  Values<float> x = contribution<float>(rank, 5000, 3);
  Communicator::Request request = group->start_all_reduce_sum(tensor_of(x));
  MPI_EXPECT(world.sum(1) == size, "the world sums while the group's request flies");
  request.wait();
  const Values<float> expected = serial_sum<float>(members, 5000, 3);
  MPI_EXPECT(same_bits(x.data(), expected.data(), 5000), "group of " + std::to_string(group->size()));
}

void group_bytes_follow_the_formulas(Communicator& world) {
  const int64_t size = world.size();
  const auto fresh = world.split(0, world.rank(), "fresh");
  Values<Bf16> x(static_cast<size_t>(60 * size));
  fresh->all_reduce_sum(tensor_of(x));
  MPI_EXPECT(fresh->group_bytes() == 2 * (size - 1) * 120 * size, std::to_string(fresh->group_bytes()));
  Values<Bf16> mine(60);
  fresh->reduce_scatter_sum(tensor_of(x), tensor_of(mine));
  MPI_EXPECT(fresh->group_bytes() == 3 * (size - 1) * 120 * size, std::to_string(fresh->group_bytes()));
  fresh->all_gather(tensor_of(mine), tensor_of(x));
  MPI_EXPECT(fresh->group_bytes() == 4 * (size - 1) * 120 * size, std::to_string(fresh->group_bytes()));
  fresh->barrier();
  fresh->broadcast_text("a text");
  MPI_EXPECT(fresh->group_bytes() == 4 * (size - 1) * 120 * size, "barriers and texts do not count");
}

template <typename Call>
void expect_refused(Call call, const std::string& what) {
  try {
    call();
    MPI_EXPECT(false, what + " was accepted");
  } catch (const Error& error) {
    MPI_EXPECT(error.kind() == ErrorKind::kInternal, error.what());
  }
}

void unfit_tensors_are_refused(Communicator& world) {
  const auto size = static_cast<size_t>(world.size());
  Values<float> x(4 * size), part(4), short_part(3);
  Values<double> other_type(4);
  std::vector<int32_t> whole_numbers(4);
  const Tensor numbers{whole_numbers.data(), DType::kI32, {4}};
  expect_refused([&] { world.all_reduce_sum(numbers); }, "i32");
  expect_refused([&] { world.reduce_scatter_sum(tensor_of(x), tensor_of(short_part)); }, "a short part");
  expect_refused([&] { world.reduce_scatter_sum(tensor_of(x), tensor_of(other_type)); }, "another type");
  expect_refused([&] { world.all_gather(tensor_of(short_part), tensor_of(x)); }, "a short part");
  if (size == 1) return;
  expect_refused([&] { world.reduce_scatter_sum(tensor_of(x), tensor_of(x).flat(1, 4)); }, "a shifted part");
  Values<float> odd(4 * size + 1);
  expect_refused([&] { world.all_gather(tensor_of(part), tensor_of(odd)); }, "a count that does not divide");
}

}  // namespace
}  // namespace nexus

int main(int argc, char** argv) {
  using namespace nexus;
  MpiSession session(&argc, &argv);
  const auto world = session.world();
  all_types(*world);
  all_types(*session.world(1000));  // cut into many messages: the same bits
  all_types(*world->split(world->rank() / 2, world->rank(), "pair"));
  bf16_rounds_once_at_the_end(*world);
  for (uint32_t round = 1; round <= 5; ++round) requests_fly_in_any_order(*world, round);
  a_later_request_may_be_waited_for_first(*world);
  groups_sum_over_their_own_ranks(*world);
  group_bytes_follow_the_formulas(*world);
  unfit_tensors_are_refused(*world);
  return 0;
}
