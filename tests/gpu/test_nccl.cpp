// Collectives between GPUs against sums computed on the host; runs on 2 ranks and more.
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <type_traits>

#include "core/hash.h"
#include "gpu/gpu_ranks.h"
#include "support/mpi_expect.h"

namespace nexus::gpu {
namespace {

template <typename T>
using Values = std::vector<T>;

template <typename T>
T of_double(double value) {
  if constexpr (std::is_same_v<T, Bf16>)
    return Bf16(static_cast<float>(value));
  else
    return static_cast<T>(value);
}

template <typename T>
double to_double(T value) {
  if constexpr (std::is_same_v<T, Bf16>)
    return static_cast<double>(static_cast<float>(value));
  else
    return static_cast<double>(value);
}

template <typename T>
bool same_bits(const T* a, const T* b, size_t count) {
  return count == 0 || std::memcmp(a, b, count * sizeof(T)) == 0;
}

template <typename T>
bool same_bits(const Values<T>& a, const Values<T>& b) {
  return a.size() == b.size() && same_bits(a.data(), b.data(), a.size());
}

// Whole numbers of at most 8: their sums over up to 32 ranks are exact in every type and order.
template <typename T>
Values<T> whole_numbers(int rank, size_t count, uint32_t seed) {
  std::mt19937 random(seed * 1000 + static_cast<uint32_t>(rank));
  Values<T> values(count);
  for (T& value : values) value = of_double<T>(static_cast<double>(random() % 17) - 8);
  return values;
}

// Magnitudes over six decades.
template <typename T>
Values<T> fractions(int rank, size_t count, uint32_t seed) {
  std::mt19937 random(seed * 1000 + static_cast<uint32_t>(rank));
  std::uniform_real_distribution<double> mantissa(-1, 1), exponent(-3, 3);
  Values<T> values(count);
  for (T& value : values) value = of_double<T>(mantissa(random) * std::pow(10.0, exponent(random)));
  return values;
}

// The sum over ranks, added in f64, and the sum of the magnitudes.
struct Sums {
  std::vector<double> value, magnitude;
};

template <typename T, typename Draw>
Sums sums_of(int ranks, size_t count, Draw draw) {
  Sums sums{std::vector<double>(count), std::vector<double>(count)};
  for (int rank = 0; rank < ranks; ++rank) {
    const Values<T> part = draw(rank);
    for (size_t i = 0; i < count; ++i) {
      sums.value[i] += to_double(part[i]);
      sums.magnitude[i] += std::abs(to_double(part[i]));
    }
  }
  return sums;
}

template <typename T>
Values<T> rounded(const std::vector<double>& values) {
  Values<T> result(values.size());
  for (size_t i = 0; i < values.size(); ++i) result[i] = of_double<T>(values[i]);
  return result;
}

template <typename T>
std::string case_name(Communicator& comm, size_t count) {
  return fmt::format("rank {} of {} {}, {} x {}", comm.rank(), comm.size(), comm.name(), count,
                     name_of(DTypeOf<T>::value));
}

template <typename T>
void all_reduce_adds_up(Communicator& comm, Backend& backend, size_t count) {
  const auto draw = [&](int rank) { return whole_numbers<T>(rank, count, static_cast<uint32_t>(count)); };
  const Held<T> x(backend, draw(comm.rank()));
  comm.all_reduce_sum(x);
  const Sums sums = sums_of<T>(comm.size(), count, draw);
  MPI_EXPECT(same_bits(x.values(), rounded<T>(sums.value)), case_name<T>(comm, count));
}

// Fractions round. Two terms have one sum, correctly rounded: the bits that the CPU's sum in rank order has (f32 and
// f64 are added in themselves, bf16 in f32, of which rounding twice is harmless). p terms in any order have at most p -
// 1 roundings of 2^-24, 2^-53 or 2^-8 each, relative to the sum of magnitudes; p of them leave room for rounding the
// bound.
template <typename T>
void all_reduce_of_fractions_is_near_and_the_same_everywhere(Communicator& comm, Backend& backend) {
  constexpr size_t kCount = 70001;
  const auto draw = [](int rank) { return fractions<T>(rank, kCount, 5); };
  const Held<T> x(backend, draw(comm.rank()));
  comm.all_reduce_sum(x);
  const Values<T> found = x.values();
  const Sums sums = sums_of<T>(comm.size(), kCount, draw);
  if (comm.size() == 2) MPI_EXPECT(same_bits(found, rounded<T>(sums.value)), case_name<T>(comm, kCount));
  const double unit = std::is_same_v<T, double> ? 0x1p-53 : std::is_same_v<T, float> ? 0x1p-24 : 0x1p-8;
  for (size_t i = 0; i < kCount; ++i)
    MPI_EXPECT(std::abs(to_double(found[i]) - sums.value[i]) <= comm.size() * unit * sums.magnitude[i],
               fmt::format("{} [{}]: {} for {}", case_name<T>(comm, kCount), i, to_double(found[i]), sums.value[i]));
  comm.require_equal("the bits of a sum", hash_bytes(found.data(), kCount * sizeof(T)));
}

// Out of place and in place; the parts that are not mine stay as they were; a gather completes the all-reduce.
template <typename T>
void reduce_scatter_and_all_gather_are_an_all_reduce(Communicator& comm, Backend& backend, size_t part) {
  const auto rank = static_cast<size_t>(comm.rank()), count = part * static_cast<size_t>(comm.size());
  const auto elements = static_cast<int64_t>(part);
  const std::string where = case_name<T>(comm, count);
  const auto draw = [&](int r) { return whole_numbers<T>(r, count, 7 + static_cast<uint32_t>(count)); };
  const Values<T> original = draw(comm.rank());
  const Values<T> expected = rounded<T>(sums_of<T>(comm.size(), count, draw).value);

  const Held<T> x(backend, original), mine(backend, Values<T>(part)), all(backend, Values<T>(count));
  comm.reduce_scatter_sum(x, mine);
  MPI_EXPECT(same_bits(x.values(), original), where);
  MPI_EXPECT(same_bits(mine.values().data(), expected.data() + rank * part, part), where);
  comm.all_gather(mine, all);
  MPI_EXPECT(same_bits(all.values(), expected), where);

  comm.reduce_scatter_sum(x, x.part(comm.rank(), elements));
  Values<T> untouched = original;
  std::copy_n(expected.begin() + static_cast<std::ptrdiff_t>(rank * part), part,
              untouched.begin() + static_cast<std::ptrdiff_t>(rank * part));
  MPI_EXPECT(same_bits(x.values(), untouched), where);
  comm.all_gather(x.part(comm.rank(), elements), x);
  MPI_EXPECT(same_bits(x.values(), expected), where);
}

template <typename T>
void all_sums(Communicator& comm, Backend& backend) {
  for (const size_t count : {0, 1, 2, 3, 5, 1023, 70001, 3000001}) all_reduce_adds_up<T>(comm, backend, count);
  for (const size_t part : {0, 1, 5, 1025, 30000, 1000003})
    reduce_scatter_and_all_gather_are_an_all_reduce<T>(comm, backend, part);
  all_reduce_of_fractions_is_near_and_the_same_everywhere<T>(comm, backend);
}

void all_types(Communicator& comm, Backend& backend) {
  all_sums<float>(comm, backend);
  all_sums<double>(comm, backend);
  all_sums<Bf16>(comm, backend);
}

bool all_equal(const Values<float>& values, double expected) {
  return std::all_of(values.begin(), values.end(), [&](float value) { return static_cast<double>(value) == expected; });
}

// No call here waits on the host, so only the order on the device makes the results right.
void collectives_keep_their_place_in_the_order_of_work(Communicator& comm, Backend& backend) {
  constexpr size_t kPart = 1 << 22;
  constexpr int kRounds = 50;  // of work before and beside the collective
  const int size = comm.size(), rank = comm.rank();
  const size_t count = kPart * static_cast<size_t>(size);
  const Held<float> x(backend, Values<float>(count, static_cast<float>(rank))), one(backend, Values<float>(count, 1));
  const Held<float> beside(backend, Values<float>(count, 0));
  const Held<float> mine(backend, Values<float>(kPart)), all(backend, Values<float>(count));
  backend.synchronize();

  for (int i = 0; i < kRounds; ++i) backend.run(ops::Add{one, x});
  Communicator::Request request = comm.start_all_reduce_sum(x);
  for (int i = 0; i < kRounds; ++i) backend.run(ops::Add{one, beside});
  request.wait();
  backend.run(ops::Add{beside, x});
  comm.reduce_scatter_sum(x, mine);
  backend.run(ops::Zero{x});
  comm.all_gather(mine, all);
  backend.run(ops::Zero{mine});

  const double reduced = size * kRounds + size * (size - 1) / 2.0, scattered = size * (reduced + kRounds);
  MPI_EXPECT(all_equal(all.values(), scattered), fmt::format("rank {}: not {} everywhere", rank, scattered));
  MPI_EXPECT(all_equal(mine.values(), 0) && all_equal(x.values(), 0), "what came after a collective came before it");
}

// Collectives of two communicators fly at once; waits come in another order than starts, the same on every rank.
void two_communicators_fly_at_once(Communicator& world, Backend& backend, uint32_t round) {
  constexpr size_t kRequests = 16;
  const int half = std::max(1, world.size() / 2);
  const auto near = world.split(world.rank() / half, world.rank(), "near");
  const auto far = world.split(world.rank() % half, world.rank(), "far");
  std::vector<Held<float>> tensors;
  std::vector<Communicator::Request> requests;
  for (size_t i = 0; i < kRequests; ++i) {
    Communicator& comm = i % 3 == 0 ? *near : *far;
    const size_t count = 1000 + 65537 * (i % 5);
    tensors.emplace_back(backend, whole_numbers<float>(comm.rank(), count, round * 50 + static_cast<uint32_t>(i)));
    requests.push_back(comm.start_all_reduce_sum(tensors.back()));
  }
  std::vector<size_t> order(kRequests);
  for (size_t i = 0; i < kRequests; ++i) order[i] = i;
  std::mt19937 same(round);
  std::shuffle(order.begin(), order.end(), same);
  for (const size_t i : order) {
    requests[i].wait();
    Communicator& comm = i % 3 == 0 ? *near : *far;
    const Values<float> found = tensors[i].values();
    const auto draw = [&](int rank) {
      return whole_numbers<float>(rank, found.size(), round * 50 + static_cast<uint32_t>(i));
    };
    MPI_EXPECT(same_bits(found, rounded<float>(sums_of<float>(comm.size(), found.size(), draw).value)),
               fmt::format("round {} request {}, {}", round, i, case_name<float>(comm, found.size())));
  }
}

// The highest rank comes first, and parts follow the ranks of the group.
void groups_have_ranks_of_their_own(Communicator& world, Backend& backend) {
  const auto group = world.split(world.rank() % 2, -world.rank(), "half");
  MPI_EXPECT(group->name() == "half", group->name());
  const auto size = static_cast<size_t>(group->size());
  const Held<float> mine(backend, {static_cast<float>(world.rank())}), all(backend, Values<float>(size, -1));
  group->all_gather(mine, all);
  const Values<float> ranks = all.values();
  for (size_t i = 0; i < size; ++i) {
    const size_t from_top = size - 1 - i;
    MPI_EXPECT(ranks[i] == static_cast<float>(2 * from_top) + static_cast<float>(world.rank() % 2), "the ranks' order");
  }
}

void one_rank_copies(Communicator& world, Backend& backend) {
  const auto alone = world.split(world.rank(), 0, "alone");
  MPI_EXPECT(alone->size() == 1, std::to_string(alone->size()));
  const Values<float> values = fractions<float>(world.rank(), 1001, 3);
  const Held<float> x(backend, values), mine(backend, Values<float>(1001)), all(backend, Values<float>(1001));
  alone->all_reduce_sum(x);
  alone->reduce_scatter_sum(x, mine);
  alone->all_gather(mine, all);
  alone->all_gather(all, all);
  MPI_EXPECT(same_bits(all.values(), values) && same_bits(x.values(), values), "a copy of one rank");
  MPI_EXPECT(alone->group_bytes() == 0, std::to_string(alone->group_bytes()));
}

void send_some(Communicator& comm, const Tensor& x, const Tensor& mine) {
  comm.all_reduce_sum(x);
  comm.reduce_scatter_sum(x, mine);
  comm.all_gather(mine, x);
  comm.all_reduce_sum(x.flat(0, 0));
  comm.sum(1.0);
  double facts[3] = {1, 2, 3};
  comm.sum(facts);
  comm.max(1.0);
  comm.barrier();
  comm.broadcast_text("a text");
}

void group_bytes_are_those_of_mpi(Communicator& hosts, Communicator& world, Backend& backend) {
  const auto size = static_cast<size_t>(world.size());
  Values<Bf16> x(60 * size), mine(60);
  const auto plain = hosts.split(0, hosts.rank(), "plain");
  send_some(*plain, Tensor{x.data(), DType::kBF16, {static_cast<int64_t>(x.size())}},
            Tensor{mine.data(), DType::kBF16, {60}});
  const auto fresh = world.split(0, world.rank(), "fresh");
  send_some(*fresh, Held<Bf16>(backend, x), Held<Bf16>(backend, mine));
  MPI_EXPECT(fresh->group_bytes() == plain->group_bytes() && plain->group_bytes() > 0,
             fmt::format("{} for {}", fresh->group_bytes(), plain->group_bytes()));
}

template <typename Call>
void expect_error(ErrorKind kind, Call call, const std::string& what) {
  try {
    call();
  } catch (const Error& error) {
    MPI_EXPECT(error.kind() == kind, error.what());
    return;
  }
  MPI_EXPECT(false, what + " was accepted");
}

void unfit_tensors_are_refused(Communicator& world, Backend& backend) {
  const auto size = static_cast<size_t>(world.size());
  const Held<float> x(backend, Values<float>(4 * size)), odd(backend, Values<float>(4 * size + 1));
  const Held<float> part(backend, Values<float>(4)), short_part(backend, Values<float>(3));
  const Held<double> other_type(backend, Values<double>(4));
  const Held<int32_t> numbers(backend, Values<int32_t>(4));
  const ErrorKind bug = ErrorKind::kInternal;
  expect_error(
      bug, [&] { world.all_reduce_sum(numbers); }, "i32");
  expect_error(
      bug, [&] { world.reduce_scatter_sum(x, short_part); }, "a short part");
  expect_error(
      bug, [&] { world.reduce_scatter_sum(x, other_type); }, "another type");
  expect_error(
      bug, [&] { world.all_gather(short_part, x); }, "a short part");
  expect_error(
      bug, [&] { world.reduce_scatter_sum(x, x.tensor().flat(1, 4)); }, "a shifted part");
  expect_error(
      bug, [&] { world.all_gather(part, odd); }, "a count that does not divide");
}

void shared_gpus_are_refused(Communicator& hosts) {
  const std::unique_ptr<Backend> first = backend_of(0);
  expect_error(
      ErrorKind::kConfig, [&] { make_nccl_communicator(hosts.split(0, hosts.rank(), "shared"), *first); },
      "one GPU for all ranks");
}

// The error of a rank that has started what the others never join leaves the collective behind, not the rank. From then
// on nothing works any more: the last test.
void an_error_ends_what_hangs(Communicator& world, Backend& backend) {
  const Held<float> x(backend, Values<float>(100000, 1));
  try {
    const auto doomed = world.split(0, world.rank(), "doomed");
    doomed->all_reduce_sum(x);  // opens its connections
    if (world.rank() == 0) doomed->all_reduce_sum(x);
    throw Error(ErrorKind::kNumeric, "an error made on purpose");
  } catch (const Error& error) {
    MPI_EXPECT(error.kind() == ErrorKind::kNumeric, error.what());
  }
  backend.synchronize();
  expect_error(
      ErrorKind::kComm, [&] { world.all_reduce_sum(x); }, "a collective after an abort");
  MPI_EXPECT(world.sum(1) == world.size(), "MPI goes on");
}

void run(Communicator& hosts, MpiSession& session) {
  shared_gpus_are_refused(hosts);
  const std::unique_ptr<Backend> backend = backend_of(hosts.rank());
  const auto world = make_nccl_communicator(session.world(), *backend);
  all_types(*world, *backend);
  all_types(*world->split(world->rank() / 2, world->rank(), "pair"), *backend);
  collectives_keep_their_place_in_the_order_of_work(*world, *backend);
  for (uint32_t round = 1; round <= 3; ++round) two_communicators_fly_at_once(*world, *backend, round);
  groups_have_ranks_of_their_own(*world, *backend);
  one_rank_copies(*world, *backend);
  group_bytes_are_those_of_mpi(hosts, *world, *backend);
  unfit_tensors_are_refused(*world, *backend);
  an_error_ends_what_hangs(*world, *backend);
}

}  // namespace
}  // namespace nexus::gpu

int main(int argc, char** argv) {
  nexus::MpiSession session(&argc, &argv);
  const auto hosts = session.world();
  if (!nexus::gpu::enough_devices(*hosts)) return nexus::gpu::kSkipped;
  try {
    nexus::gpu::run(*hosts, session);
  } catch (const std::exception& error) {
    MPI_EXPECT(false, error.what());
  }
  return 0;
}
