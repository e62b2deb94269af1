#include <gtest/gtest.h>

#include <cmath>

#include "params/param_store.h"
#include "params/param_table.h"
#include "support/expect_error.h"
#include "support/limited_backend.h"

namespace nexus {
namespace {

ParamSpec matrix(const std::string& name, int64_t rows, int64_t columns) {
  ParamSpec spec;
  spec.name = name;
  spec.axes = {{rows, "M", AxisRole::kProduces}, {columns, kFixedWidth, AxisRole::kConsumes}};
  return spec;
}

ParamTable small_table() {
  ParamTable table;
  table.add(matrix("q", 3, 5));
  table.add(matrix("k", 3, 5));
  ParamSpec norm;
  norm.name = "norm";
  norm.axes = {{7}};
  norm.init = Init::kOnes;
  norm.decay = false;
  table.add(norm);
  return table;
}

std::vector<float> host(const ParamStore& store, const Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.count()));
  store.backend().copy_out(values.data(), tensor);
  return values;
}

// The refusal of a store of bf16 where only the first `buffers` of its five have room.
std::string refusal(const Sharding& sharding, int buffers) {
  ParamTable table(sharding);
  table.add(matrix("w", 64, 64));
  table.close_bucket();
  const int64_t flat = table.flat_count() * 2, wide = table.flat_count() * 4, state = table.state_count() * 4;
  const int64_t sizes[] = {flat, state, wide, state, state};
  int64_t room = -1;
  for (int i = 0; i <= buffers; ++i) room += sizes[i];
  const auto cpu = make_cpu_backend(1);
  testing::LimitedBackend backend(*cpu, room);
  try {
    const ParamStore store(backend, table, DType::kBF16);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    EXPECT_EQ(backend.memory().free_bytes, room);
    return error.what();
  }
  return "";
}

TEST(ParamStore, NamesTheBufferThatDoesNotFitAndWhatSharesThemOut) {
  using ::testing::HasSubstr;
  using ::testing::Not;
  const char* names[] = {"compute weights", "master weights", "gradients", "first moments", "second moments"};
  for (int i = 0; i < 5; ++i)
    EXPECT_THAT(refusal({}, i), ::testing::AllOf(HasSubstr(std::string(names[i]) + ": "), HasSubstr("73.7 kB in all"),
                                                 HasSubstr("start more ranks with parallel.zero 1")));
  EXPECT_THAT(refusal({0, 1, 0, 2, false, false}, 2), HasSubstr("set parallel.zero to 1"));
  EXPECT_THAT(refusal({0, 1, 0, 2, true, false}, 2),
              ::testing::AllOf(HasSubstr("start more ranks, raise parallel.tp (now 1)"), Not(HasSubstr("zero"))));
}

TEST(ParamTable, LaysTensorsBackToBackInOrder) {
  const ParamTable table = small_table();
  EXPECT_EQ(table[0].offset, 0);
  EXPECT_EQ(table[1].offset, 15);
  EXPECT_EQ(table[2].offset, 30);
  EXPECT_EQ(table.count(), 37);
  EXPECT_EQ(table.find("k"), 1);
  EXPECT_EQ(table.find("absent"), -1);
}

TEST(ParamTable, RefusesTheSameNameTwice) {
  ParamTable table = small_table();
  EXPECT_NEXUS_ERROR(table.add(matrix("q", 1, 1)), ErrorKind::kInternal, ::testing::HasSubstr("q twice"));
}

TEST(ParamTable, DigestChangesWithNamesShapesAndRoles) {
  ParamTable renamed, reshaped;
  renamed.add(matrix("p", 3, 5));
  reshaped.add(matrix("q", 5, 3));
  ParamTable table;
  table.add(matrix("q", 3, 5));
  EXPECT_NE(table.digest(), renamed.digest());
  EXPECT_NE(table.digest(), reshaped.digest());
  ParamTable same;
  same.add(matrix("q", 3, 5));
  EXPECT_EQ(table.digest(), same.digest());
}

TEST(ParamStore, StacksNeighboursAsOneMatrix) {
  const auto backend = make_cpu_backend();
  const ParamTable table = small_table();
  ParamStore store(*backend, table, DType::kF32);
  store.initialize(1);
  const Tensor both = store.weights(0, 2);
  EXPECT_EQ(both.shape, (Shape{6, 5}));
  EXPECT_EQ(both.data, store.weight(0).data);
  EXPECT_EQ(both.rows(3, 3).data, store.weight(1).data);
}

TEST(ParamStore, InitialValuesDependOnSeedNameAndIndexOnly) {
  const auto backend = make_cpu_backend();
  const ParamTable table = small_table();
  ParamTable alone;  // the same tensor at another place of another table
  alone.add(matrix("k", 3, 5));
  ParamStore a(*backend, table, DType::kF32), b(*backend, alone, DType::kF32), other_seed(*backend, table, DType::kF32);
  a.initialize(1);
  b.initialize(1);
  other_seed.initialize(2);
  EXPECT_EQ(host(a, a.weight(1)), host(b, b.weight(0)));
  EXPECT_NE(host(a, a.weight(1)), host(other_seed, other_seed.weight(1)));
  EXPECT_NE(host(a, a.weight(0)), host(a, a.weight(1)));
  EXPECT_EQ(host(a, a.weight(2)), std::vector<float>(7, 1.0f));
}

TEST(ParamStore, Bf16CopyFollowsTheMaster) {
  const auto backend = make_cpu_backend();
  const ParamTable table = small_table();
  ParamStore store(*backend, table, DType::kBF16);
  store.initialize(3);
  std::vector<Bf16> copy(static_cast<size_t>(table.flat_count()));
  backend->copy_out(copy.data(), store.compute());
  const std::vector<float> master = host(store, store.master());
  for (size_t i = 0; i < copy.size(); ++i) EXPECT_EQ(static_cast<float>(copy[i]), static_cast<float>(Bf16(master[i])));
}

TEST(ParamStore, SizesAreThoseThatBytesForPredicts) {
  const auto backend = make_cpu_backend();
  const ParamTable table = small_table();
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF64})
    for (const auto use : {ParamStore::Use::kTraining, ParamStore::Use::kInference})
      EXPECT_EQ(ParamStore(*backend, table, dtype, use).size_bytes(), ParamStore::bytes_for(table, dtype, use));
}

}  // namespace
}  // namespace nexus
