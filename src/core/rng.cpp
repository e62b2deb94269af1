#include "core/rng.h"

#include <Random123/philox.h>
#include <xxhash.h>

#include <bit>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace nexus {
namespace {

r123::Philox4x32::ctr_type block(const std::array<uint32_t, 2>& key, uint32_t salt, uint64_t counter, uint32_t lane) {
  const r123::Philox4x32::ctr_type ctr = {
      {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), salt, lane}};
  const r123::Philox4x32::key_type philox_key = {{key[0], key[1]}};
  return r123::Philox4x32()(ctr, philox_key);
}

double to_unit(uint32_t high, uint32_t low) {
  const uint64_t bits = (static_cast<uint64_t>(high) << 32 | low) >> 11;
  return static_cast<double>(bits) * 0x1.0p-53;
}

}  // namespace

RandomStream::RandomStream(uint64_t seed, std::string_view name) {
  const uint64_t hash = XXH3_64bits_withSeed(name.data(), name.size(), seed);
  key_ = {static_cast<uint32_t>(hash), static_cast<uint32_t>(hash >> 32)};
  salt_ = static_cast<uint32_t>(seed ^ (seed >> 32));
}

uint64_t RandomStream::bits(uint64_t index) const {
  const auto words = block(key_, salt_, index, 0);
  return static_cast<uint64_t>(words[1]) << 32 | words[0];
}

double RandomStream::uniform(uint64_t index) const {
  return static_cast<double>(bits(index) >> 11) * 0x1.0p-53;
}

uint64_t RandomStream::below(uint64_t index, uint64_t bound) const {
  NX_CHECK(bound > 0);
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>((static_cast<Wide>(bits(index)) * bound) >> 64);
}

double RandomStream::normal(uint64_t index) const {
  // One block gives a pair of normals; lane 1 keeps it apart from bits() of the same index.
  const auto words = block(key_, salt_, index >> 1, 1);
  const double radius = std::sqrt(-2.0 * std::log(1.0 - to_unit(words[0], words[1])));
  const double angle = 2.0 * std::numbers::pi * to_unit(words[2], words[3]);
  return radius * ((index & 1) ? std::sin(angle) : std::cos(angle));
}

RandomPermutation::RandomPermutation(uint64_t size, uint64_t seed, std::string_view name)
    : size_(size), half_bits_(1), stream_(seed, name) {
  NX_CHECK(size > 0);
  const int bits = std::bit_width(size - 1);
  half_bits_ = bits < 2 ? 1 : (bits + 1) / 2;
}

uint64_t RandomPermutation::at(uint64_t index) const {
  NX_CHECK(index < size_, "index {} of {}", index, size_);
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t value = index;
  do {  // walk the cycle until it falls inside; fewer than 4 rounds on average since the domain is under 4 * size
    uint64_t left = value >> half_bits_, right = value & mask;
    for (uint64_t round = 0; round < 4; ++round) {
      const uint64_t mixed = left ^ (stream_.bits(round << 62 | right) & mask);
      left = right;
      right = mixed;
    }
    value = left << half_bits_ | right;
  } while (value >= size_);
  return value;
}

}  // namespace nexus
