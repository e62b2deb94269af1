#include "cuda/collective_log.h"

#include <atomic>
#include <new>
#include <utility>

namespace nexus::cuda {
namespace {

// Numbers wrap around: a is at or after b if it is less than half the range ahead.
bool at_or_after(uint32_t a, uint32_t b) {
  return static_cast<int32_t>(a - b) >= 0;
}

// The driver's function without linking the driver's library, which machines without a GPU do not have.
PFN_cuStreamWriteValue32_v11070 find_write_value() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  const cudaError_t code =
      cudaGetDriverEntryPointByVersion("cuStreamWriteValue32", &function, 11070, cudaEnableDefault, &found);
  if (code != cudaSuccess) cudaGetLastError();  // no log is no error
  if (code != cudaSuccess || found != cudaDriverEntryPointSuccess) return nullptr;
  return reinterpret_cast<PFN_cuStreamWriteValue32_v11070>(function);
}

}  // namespace

CollectiveLog::CollectiveLog() : write_value_(find_write_value()) {
  if (write_value_ == nullptr) return;
  void* device = nullptr;
  memory_ = PinnedMemory(sizeof(Reached), cudaHostAllocMapped);
  words_ = new (memory_.data()) Reached;
  NX_CUDA(cudaHostGetDevicePointer(&device, memory_.data(), 0));
  device_words_ = reinterpret_cast<CUdeviceptr>(device);
}

CollectiveLog::Reached CollectiveLog::reached() const {
  return {std::atomic_ref<uint32_t>(words_->begun).load(std::memory_order_acquire),
          std::atomic_ref<uint32_t>(words_->finished).load(std::memory_order_acquire)};
}

// Writes the number of the present collective.
void CollectiveLog::write(cudaStream_t stream, const uint32_t& place) {
  const auto offset = reinterpret_cast<const char*>(&place) - reinterpret_cast<const char*>(words_);
  const CUresult code =
      write_value_(stream, device_words_ + static_cast<CUdeviceptr>(offset), last_, CU_STREAM_WRITE_VALUE_DEFAULT);
  if (code == CUDA_SUCCESS) return;
  const std::lock_guard lock(mutex_);  // a log with gaps would accuse the wrong ranks: end it
  operations_.clear();
  write_value_ = nullptr;
}

void CollectiveLog::begin(const progress::Operation& operation, cudaStream_t stream) {
  if (write_value_ == nullptr) return;
  {
    const std::lock_guard lock(mutex_);
    const uint32_t finished = reached().finished;
    while (!operations_.empty() && at_or_after(finished, last_ - static_cast<uint32_t>(operations_.size()) + 1))
      operations_.pop_front();
    operations_.push_back(operation);
    ++last_;
  }
  write(stream, words_->begun);
}

void CollectiveLog::end(cudaStream_t stream) {
  if (write_value_ != nullptr) write(stream, words_->finished);
}

std::optional<progress::Operation> CollectiveLog::running() const {
  const std::lock_guard lock(mutex_);
  if (words_ == nullptr || operations_.empty()) return {};
  const Reached now = reached();
  const uint32_t next = now.finished + 1, first = last_ - static_cast<uint32_t>(operations_.size()) + 1;
  if (!at_or_after(now.begun, next) || !at_or_after(next, first) || !at_or_after(last_, next)) return {};
  return operations_[next - first];
}

bool CollectiveLog::advanced() {
  if (words_ == nullptr) return false;
  const uint32_t finished = reached().finished;
  return std::exchange(seen_finished_, finished) != finished;
}

}  // namespace nexus::cuda
