// Samples for training and evaluation: windows of T + 1 tokens over the documents' concatenation.
//
// Window w of a token file covers tokens [w*T, w*T + T]: T inputs, and T targets one token later, so neighbours share
// one token and every token but the first is a target once. A last incomplete window is left out. The order is a pure
// function of (seed, global sample index): nothing is remembered, so batch size, ranks and resumption cannot change it.
// Errors: ErrorKind::kData. All classes are thread-safe after construction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/data_options.h"
#include "data/data_set.h"
#include "data/token_file.h"

namespace nexus {

// Which window a sample is.
struct SampleLocation {
  int64_t dataset = 0;
  int64_t epoch = 0;   // of that dataset, from 0
  int64_t window = 0;  // in the dataset's file
  bool operator==(const SampleLocation&) const = default;
};

// The order without the files.
//
// One dataset: sample g is place g mod n of epoch g / n, and each epoch is its own permutation of the n windows.
// Several: samples come in cycles of kCycle; in each cycle dataset d has exactly quota(d) samples (its weight's share,
// rounded by largest remainder, at least 1), in an order that is permuted anew; a dataset's k-th sample is then mapped
// as above.
class SampleOrder {
 public:
  static constexpr int64_t kCycle = 10000;

  // Throws ErrorKind::kConfig where a weight is not positive and finite.
  SampleOrder(std::vector<int64_t> windows, const std::vector<double>& weights, uint64_t seed);
  SampleLocation locate(int64_t global_sample) const;
  int64_t quota(int64_t dataset) const { return quotas_.at(static_cast<size_t>(dataset)); }
  int64_t cycle() const { return cycle_; }

 private:
  std::vector<int64_t> windows_, quotas_;
  int64_t cycle_;
  uint64_t seed_;
};

// The windows of one token file.
class WindowFile : public DataSet {
 public:
  // Throws ErrorKind::kData where the file has fewer than context + 1 tokens.
  WindowFile(const std::string& prefix, int64_t context, int64_t vocab_size);
  const std::string& path() const override { return file_.prefix(); }
  BatchFields fields() const override;
  int64_t count() const override { return count_; }
  int64_t context() const { return context_; }
  // Fills "tokens" and "targets", T each. Every id is checked against the vocabulary.
  void fetch(int64_t window, const Batch& batch, int64_t row) const override;
  std::string index_digest() const override { return file_.index_digest(); }
  const TokenFile& file() const { return file_; }

 private:
  TokenFile file_;
  int64_t context_, vocab_size_, count_;
};

// Training samples.
class Sampler {
 public:
  Sampler(const DataOptions& options, uint64_t seed, int64_t vocab_size);
  // Windows of all datasets together; with one dataset, the samples after which each has been seen once.
  int64_t samples_per_epoch() const;
  SampleLocation locate(int64_t global_sample) const { return order_.locate(global_sample); }
  // Writes sample `global_sample` (from 0) of the run to row `row` of the batch.
  void fetch(int64_t global_sample, const Batch& batch, int64_t row) const;
  int64_t context() const { return context_; }
  BatchFields fields() const { return files_.front().fields(); }
  int64_t tokens(size_t dataset) const { return files_.at(dataset).file().tokens(); }
  // How often `samples` samples of the mixture read each window of this dataset, on average.
  double passes(size_t dataset, double samples) const;
  // Of the files' indexes, in order; what the .bin files hold is told by data/token_file_content.h.
  std::string index_digest() const;
  size_t files() const { return files_.size(); }
  const TokenFile& file(size_t index) const { return files_.at(index).file(); }

 private:
  int64_t context_;
  std::vector<WindowFile> files_;
  SampleOrder order_;
};

// Validation samples, in file order.
class EvalWindows {
 public:
  EvalWindows(const std::string& prefix, int64_t context, int64_t vocab_size);
  int64_t count() const { return windows_.count(); }
  int64_t context() const { return windows_.context(); }
  void fetch(int64_t index, const Batch& batch, int64_t row) const { windows_.fetch(index, batch, row); }
  // UTF-8 bytes of text per token, for bits per byte = loss / ln 2 / bytes_per_token; nothing where PREFIX.json is
  // missing.
  std::optional<double> bytes_per_token() const { return bytes_per_token_; }
  const TokenFile& file() const { return windows_.file(); }

 private:
  WindowFile windows_;
  std::optional<double> bytes_per_token_;
};

}  // namespace nexus
