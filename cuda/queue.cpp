#include "cuda/queue.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/units.h"
#include "cuda/queue_of.h"
#include "system/clock.h"

namespace nexus::cuda {
namespace {

// Large enough for the bus's full speed, small enough that the first one is soon under way.
constexpr int64_t kSlotBytes = int64_t{4} << 20;
constexpr size_t kSlots = 8;
constexpr int64_t kScratchStep = int64_t{1} << 20;

// The host looks at an event without sleeping for the first part of a wait, so that short waits stay short, then
// sleeps in between: a rank has few cores.
constexpr double kSpin = 200e-6, kNap = 50e-6;  // seconds
constexpr double kTurn = 5e-3;

// Streams and memory belong to the device that is current when they are made.
int chosen(int device) {
  NX_CUDA(cudaSetDevice(device));
  return device;
}

std::string device_name(int device) {
  cudaDeviceProp facts{};
  if (cudaGetDeviceProperties(&facts, device) == cudaSuccess) return facts.name;
  cudaGetLastError();  // an answer, not a pending error
  return "unknown";
}

}  // namespace

void throw_cuda_error(cudaError_t code, const char* operation) {
  int device = -1;
  cudaGetDevice(&device);
  const std::string what =
      fmt::format("{} failed: {} ({})", operation, cudaGetErrorString(code), cudaGetErrorName(code));
  const std::string where = fmt::format("GPU {} of this process", device);
  if (code == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // not sticky: the caller may ask for less
    throw Error(ErrorKind::kConfig, what, where, kMemoryCure);
  }
  throw Error(ErrorKind::kDevice, what, where,
              "look at `nvidia-smi -q` and the kernel log for errors of that GPU; the same command on another GPU "
              "goes on from the last checkpoint");
}

Queue::Queue(int device) : device_(chosen(device)), uploads_(kUploadBytes) {
  NX_CUDA(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, device));
  for (size_t i = 0; i < kSlots; ++i) slots_.emplace_back(kSlotBytes);
}

Queue::~Queue() {
  cudaStreamSynchronize(stream_.get());  // nothing may use the memory any more
}

void* Queue::scratch(int64_t size_bytes) {
  if (size_bytes > scratch_bytes_) {
    wait();
    scratch_bytes_ = 0;
    const int64_t rounded = (size_bytes + kScratchStep - 1) / kScratchStep * kScratchStep;
    const cudaError_t code = scratch_.allocate(rounded);
    if (code == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      throw Error(ErrorKind::kConfig, fmt::format("no {} of GPU memory for scratch of kernels", format_bytes(rounded)),
                  fmt::format("GPU {} ({})", device_, device_name(device_)), kMemoryCure);
    }
    NX_CUDA(code);
    scratch_bytes_ = rounded;
  }
  return scratch_.data();
}

Queue::Slot& Queue::next_slot() {
  Slot& slot = slots_[next_];
  next_ = (next_ + 1) % slots_.size();
  wait_for(slot.free.get());
  return slot;
}

const void* Queue::upload(const void* host, int64_t size_bytes) {
  NX_CHECK(size_bytes <= kUploadBytes, "{} bytes", size_bytes);
  copy_in(uploads_.data(), host, size_bytes);
  return uploads_.data();
}

void Queue::copy_in(void* device, const void* host, int64_t size_bytes) {
  for (int64_t begin = 0; begin < size_bytes; begin += kSlotBytes) {
    const auto part = static_cast<size_t>(std::min(kSlotBytes, size_bytes - begin));
    Slot& slot = next_slot();
    std::memcpy(slot.host(), static_cast<const char*>(host) + begin, part);
    NX_CUDA(cudaMemcpyAsync(static_cast<char*>(device) + begin, slot.host(), part, cudaMemcpyHostToDevice, stream()));
    slot.free.record(stream());
  }
}

// Keeps as many copies under way as there are slots, and takes them out in order.
void Queue::copy_out(void* host, const void* device, int64_t size_bytes) {
  const int64_t parts = (size_bytes + kSlotBytes - 1) / kSlotBytes;
  const auto part_bytes = [&](int64_t part) {
    return static_cast<size_t>(std::min(kSlotBytes, size_bytes - part * kSlotBytes));
  };
  std::vector<Slot*> under_way;
  for (int64_t part = 0, taken = 0; taken < parts;) {
    if (part < parts && part - taken < static_cast<int64_t>(kSlots)) {
      Slot& slot = next_slot();
      NX_CUDA(cudaMemcpyAsync(slot.host(), static_cast<const char*>(device) + part * kSlotBytes, part_bytes(part),
                              cudaMemcpyDeviceToHost, stream()));
      slot.free.record(stream());
      under_way.push_back(&slot);
      ++part;
      continue;
    }
    Slot& slot = *under_way[static_cast<size_t>(taken)];
    wait_for(slot.free.get());
    std::memcpy(static_cast<char*>(host) + taken * kSlotBytes, slot.host(), part_bytes(taken));
    ++taken;
  }
}

void Queue::wait() {
  Event done;
  done.record(stream());
  wait_for(done.get());
}

void Queue::wait_for(cudaEvent_t event) {
  const double start = steady_seconds();
  double turn = start + kTurn;
  while (true) {
    const cudaError_t code = cudaEventQuery(event);
    if (code == cudaSuccess) return;
    if (code != cudaErrorNotReady) throw_cuda_error(code, "waiting for the GPU");
    const double now = steady_seconds();
    if (now - start > kSpin) sleep_seconds(kNap);
    if (now < turn) continue;
    turn = now + kTurn;
    if (on_wait_) on_wait_();
  }
}

}  // namespace nexus::cuda
