// The order of training samples: a pure function of (seed, global sample index). Nothing is remembered, so batch size,
// ranks and resumption cannot change it. Errors: ErrorKind::kData. All classes are thread-safe after construction.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/data_set.h"

namespace nexus {

// Which sample of which data set a global sample is.
struct SampleLocation {
  int64_t dataset = 0;
  int64_t epoch = 0;  // of that data set, from 0
  int64_t index = 0;  // in the data set
  bool operator==(const SampleLocation&) const = default;
};

// The order without the files.
//
// One dataset: sample g is place g mod n of epoch g / n, and each epoch is its own permutation of the n samples.
// Several: samples come in cycles of kCycle; in each cycle dataset d has exactly quota(d) samples (its weight's share,
// rounded by largest remainder, at least 1), in an order that is permuted anew; a dataset's k-th sample is then mapped
// as above.
class SampleOrder {
 public:
  static constexpr int64_t kCycle = 10000;

  // Throws ErrorKind::kConfig where a weight is not positive and finite.
  SampleOrder(std::vector<int64_t> counts, const std::vector<double>& weights, uint64_t seed);
  SampleLocation locate(int64_t global_sample) const;
  int64_t quota(int64_t dataset) const { return quotas_.at(static_cast<size_t>(dataset)); }
  int64_t cycle() const { return cycle_; }

 private:
  std::vector<int64_t> counts_, quotas_;
  int64_t cycle_;
  uint64_t seed_;
};

// Training samples: data sets, and the order in which they are read.
class Sampler {
 public:
  // A data set and its share of the samples, relative to the others.
  struct Weighted {
    std::unique_ptr<const DataSet> set;
    double weight = 1;
  };

  // Throws ErrorKind::kConfig where there is no data set.
  Sampler(std::vector<Weighted> sets, uint64_t seed);
  // Samples of all data sets together; with one, the samples after which each has been seen once.
  int64_t samples_per_epoch() const;
  SampleLocation locate(int64_t global_sample) const { return order_.locate(global_sample); }
  // Writes sample `global_sample` (from 0) of the run to row `row` of the batch.
  void fetch(int64_t global_sample, const Batch& batch, int64_t row) const;
  // How often `samples` samples of the mixture read each sample of this data set, on average.
  double passes(size_t dataset, double samples) const;
  // Of all data sets' indexes, in order; what they hold is told by DataSet::content_reader.
  std::string index_digest() const;
  size_t size() const { return sets_.size(); }
  const DataSet& operator[](size_t index) const { return *sets_.at(index).set; }

 private:
  std::vector<Weighted> sets_;
  SampleOrder order_;
};

}  // namespace nexus
