#include "data/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "core/hash.h"
#include "core/rng.h"

namespace nexus {
namespace {

// Samples of each dataset in `cycle` ones, by largest remainder; ties go to the earlier dataset.
std::vector<int64_t> quotas_of(const std::vector<double>& weights, int64_t cycle) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<int64_t> quotas;
  std::vector<double> remainders;
  for (const double weight : weights) {
    if (!(weight > 0) || !std::isfinite(sum))
      throw Error(ErrorKind::kConfig, fmt::format("a dataset's weight is {}", weight), "data.train",
                  "give every dataset a positive weight, or leave it out");
    const double exact = weight / sum * static_cast<double>(cycle);
    quotas.push_back(std::max<int64_t>(static_cast<int64_t>(exact), 1));
    remainders.push_back(exact - static_cast<double>(quotas.back()));
  }
  int64_t missing = cycle - std::accumulate(quotas.begin(), quotas.end(), int64_t{0});
  for (; missing > 0; --missing) {
    const auto place = std::max_element(remainders.begin(), remainders.end());
    ++quotas[static_cast<size_t>(place - remainders.begin())];
    *place -= 1;
  }
  // Raising tiny shares to 1 can have given away too much; the largest share feels it least.
  for (; missing < 0; ++missing) --*std::max_element(quotas.begin(), quotas.end());
  return quotas;
}

SampleOrder order_of(const std::vector<Sampler::Weighted>& sets, uint64_t seed) {
  if (sets.empty()) throw Error(ErrorKind::kConfig, "no training data", "data.train", "name at least one data set");
  std::vector<int64_t> counts;
  std::vector<double> weights;
  for (const Sampler::Weighted& each : sets) {
    counts.push_back(each.set->count());
    weights.push_back(each.weight);
  }
  return {std::move(counts), weights, seed};
}

}  // namespace

SampleOrder::SampleOrder(std::vector<int64_t> counts, const std::vector<double>& weights, uint64_t seed)
    : counts_(std::move(counts)), cycle_(counts_.size() == 1 ? 1 : kCycle), seed_(seed) {
  NX_CHECK(!counts_.empty() && counts_.size() == weights.size() && counts_.size() <= size_t{kCycle});
  for (const int64_t count : counts_) NX_CHECK(count > 0, "{} samples", count);
  quotas_ = quotas_of(weights, cycle_);
}

SampleLocation SampleOrder::locate(int64_t global_sample) const {
  NX_CHECK(global_sample >= 0, "sample {}", global_sample);
  const int64_t cycle = global_sample / cycle_;
  const RandomPermutation mixture(static_cast<uint64_t>(cycle_), seed_, fmt::format("sample mixture {}", cycle));
  auto slot = static_cast<int64_t>(mixture.at(static_cast<uint64_t>(global_sample % cycle_)));
  SampleLocation place;
  size_t d = 0;
  for (; slot >= quotas_[d]; ++d) slot -= quotas_[d];
  place.dataset = static_cast<int64_t>(d);
  const int64_t ordinal = cycle * quotas_[d] + slot;
  place.epoch = ordinal / counts_[d];
  const RandomPermutation order(static_cast<uint64_t>(counts_[d]), seed_,
                                fmt::format("sample order {} {}", d, place.epoch));
  place.index = static_cast<int64_t>(order.at(static_cast<uint64_t>(ordinal % counts_[d])));
  return place;
}

Sampler::Sampler(std::vector<Weighted> sets, uint64_t seed) : sets_(std::move(sets)), order_(order_of(sets_, seed)) {}

std::string Sampler::index_digest() const {
  std::string indexes;
  for (const Weighted& each : sets_) indexes += each.set->index_digest();
  return hash_text(indexes);
}

int64_t Sampler::samples_per_epoch() const {
  int64_t sum = 0;
  for (const Weighted& each : sets_) sum += each.set->count();
  return sum;
}

double Sampler::passes(size_t dataset, double samples) const {
  const auto share =
      static_cast<double>(order_.quota(static_cast<int64_t>(dataset))) / static_cast<double>(order_.cycle());
  return samples * share / static_cast<double>(sets_.at(dataset).set->count());
}

void Sampler::fetch(int64_t global_sample, const Batch& batch, int64_t row) const {
  const SampleLocation place = order_.locate(global_sample);
  sets_[static_cast<size_t>(place.dataset)].set->fetch(place.index, batch, row);
}

}  // namespace nexus
