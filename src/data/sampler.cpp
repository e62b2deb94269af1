#include "data/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "core/hash.h"
#include "core/rng.h"
#include "data/token_file_info.h"

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

std::vector<WindowFile> open_all(const DataOptions& options, int64_t vocab_size) {
  if (options.train.empty())
    throw Error(ErrorKind::kConfig, "no training data", "data.train", "name at least one token file");
  std::vector<WindowFile> files;
  for (const DatasetRef& dataset : options.train) files.emplace_back(dataset.path, options.context, vocab_size);
  return files;
}

SampleOrder order_of(const DataOptions& options, const std::vector<WindowFile>& files, uint64_t seed) {
  std::vector<int64_t> windows;
  std::vector<double> weights;
  for (size_t i = 0; i < files.size(); ++i) {
    windows.push_back(files[i].count());
    weights.push_back(options.train[i].weight);
  }
  return {std::move(windows), weights, seed};
}

}  // namespace

SampleOrder::SampleOrder(std::vector<int64_t> windows, const std::vector<double>& weights, uint64_t seed)
    : windows_(std::move(windows)), cycle_(windows_.size() == 1 ? 1 : kCycle), seed_(seed) {
  NX_CHECK(!windows_.empty() && windows_.size() == weights.size() && windows_.size() <= size_t{kCycle});
  for (const int64_t count : windows_) NX_CHECK(count > 0, "{} windows", count);
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
  place.epoch = ordinal / windows_[d];
  const RandomPermutation order(static_cast<uint64_t>(windows_[d]), seed_,
                                fmt::format("sample order {} {}", d, place.epoch));
  place.window = static_cast<int64_t>(order.at(static_cast<uint64_t>(ordinal % windows_[d])));
  return place;
}

WindowFile::WindowFile(const std::string& prefix, int64_t context, int64_t vocab_size)
    : file_(prefix), context_(context), vocab_size_(vocab_size), count_(0) {
  NX_CHECK(context > 0 && vocab_size > 0, "context {}, vocabulary {}", context, vocab_size);
  count_ = (file_.tokens() - 1) / context;
  if (file_.tokens() < context + 1)
    throw Error(ErrorKind::kData, fmt::format("{} tokens are fewer than one sample of {} + 1", file_.tokens(), context),
                prefix, "give more text or lower data.context");
}

BatchFields WindowFile::fields() const {
  return {{"tokens", DType::kI32, {context_}}, {"targets", DType::kI32, {context_}}};
}

void WindowFile::fetch(int64_t window, const Batch& batch, int64_t row) const {
  NX_CHECK(window >= 0 && window < count_, "window {} of {}", window, count_);
  int32_t* tokens = batch.at("tokens").rows(row, 1).as<int32_t>();
  int32_t* targets = batch.at("targets").rows(row, 1).as<int32_t>();
  const int64_t first = window * context_;
  file_.read(first, context_, tokens);
  file_.read(first + context_, 1, targets + context_ - 1);
  std::copy(tokens + 1, tokens + context_, targets);
  check_ids(tokens, 1, vocab_size_, file_.prefix(), first);
  check_ids(targets, context_, vocab_size_, file_.prefix(), first + 1);
}

Sampler::Sampler(const DataOptions& options, uint64_t seed, int64_t vocab_size)
    : context_(options.context), files_(open_all(options, vocab_size)), order_(order_of(options, files_, seed)) {}

std::string Sampler::index_digest() const {
  std::string indexes;
  for (const WindowFile& file : files_) indexes += file.index_digest();
  return hash_text(indexes);
}

int64_t Sampler::samples_per_epoch() const {
  int64_t sum = 0;
  for (const WindowFile& file : files_) sum += file.count();
  return sum;
}

double Sampler::passes(size_t dataset, double samples) const {
  const auto share =
      static_cast<double>(order_.quota(static_cast<int64_t>(dataset))) / static_cast<double>(order_.cycle());
  return samples * share / static_cast<double>(files_.at(dataset).count());
}

void Sampler::fetch(int64_t global_sample, const Batch& batch, int64_t row) const {
  const SampleLocation place = order_.locate(global_sample);
  files_[static_cast<size_t>(place.dataset)].fetch(place.window, batch, row);
}

EvalWindows::EvalWindows(const std::string& prefix, int64_t context, int64_t vocab_size)
    : windows_(prefix, context, vocab_size) {
  if (const std::optional<TokenFileInfo> info = read_token_file_info(prefix))
    bytes_per_token_ = info->bytes_per_token();
}

}  // namespace nexus
