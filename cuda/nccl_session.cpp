#include "cuda/nccl_session.h"

#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "comm/abort_hooks.h"
#include "cuda/collective_log.h"

namespace nexus::cuda {
namespace {

constexpr std::chrono::seconds kAbortPatience{5};
constexpr std::chrono::seconds kCallPatience{1};  // of the leaving process, for a call of NCCL that may hang

ncclDataType_t nccl_type(DType dtype) {
  switch (dtype) {
    case DType::kF32: return ncclFloat32;
    case DType::kBF16: return ncclBfloat16;
    case DType::kF64: return ncclFloat64;
    case DType::kI32: return ncclInt32;
  }
  return ncclNumTypes;
}

class PriorityStream {
 public:
  PriorityStream() {
    int least = 0, greatest = 0;
    NX_CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    NX_CUDA(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, greatest));
  }
  ~PriorityStream() { cudaStreamDestroy(stream_); }
  PriorityStream(const PriorityStream&) = delete;
  PriorityStream& operator=(const PriorityStream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

// Aborts each on a thread of its own, because one may wait for another. Returns when all are done, or time is up.
void abort_together(const std::vector<ncclComm_t>& comms, int device) {
  struct Left {
    std::mutex mutex;
    std::condition_variable changed;
    size_t count;
  };
  const auto left = std::make_shared<Left>();  // threads that hang hold on to it
  left->count = comms.size();
  try {
    for (const ncclComm_t comm : comms)
      std::thread([left, comm, device] {
        cudaSetDevice(device);
        ncclCommAbort(comm);
        const std::lock_guard lock(left->mutex);
        --left->count;
        left->changed.notify_all();
      }).detach();
  } catch (const std::system_error&) {  // no more threads to be had
  }
  std::unique_lock lock(left->mutex);
  left->changed.wait_for(lock, kAbortPatience, [&] { return left->count == 0; });
}

std::string version_text(int version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

// The identity under which the ranks find each other, made by the first. Collective.
ncclUniqueId agree_on_id(Communicator& hosts) {
  struct Offer {
    int code = ncclSuccess;
    ncclUniqueId id{};
  } offer;
  if (hosts.rank() == 0) offer.code = ncclGetUniqueId(&offer.id);
  hosts.broadcast(&offer, sizeof offer, 0);
  if (offer.code == ncclSuccess) return offer.id;
  throw Error(ErrorKind::kComm,
              fmt::format("NCCL does not start: {}", ncclGetErrorString(static_cast<ncclResult_t>(offer.code))),
              fmt::format("first rank of communicator {}", hosts.name()),
              "run with NCCL_DEBUG=INFO; NCCL_SOCKET_IFNAME names the network interface to use");
}

}  // namespace

std::string nccl_description() {
  int version = 0;
  ncclGetVersion(&version);
  return "NCCL " + version_text(version);
}

std::vector<LibraryVersion> nccl_libraries() {
  int loaded = 0;
  if (ncclGetVersion(&loaded) != ncclSuccess) return {};
  return {{"NCCL", version_text(NCCL_VERSION_CODE), version_text(loaded)}};
}

class NcclSession::Impl {
 public:
  explicit Impl(Queue& queue) : queue_(queue) {
    queue_.set_on_wait([this] { look_for_failures(); });
    progress::watch_device([this] { return log_.running(); });
    hook_ = add_abort_hook([this] { abort_for_good(); });
  }
  ~Impl() {
    progress::watch_device({});
    queue_.set_on_wait({});
    const std::lock_guard lock(calls_);
    if (!groups_.empty()) abort_all("a communicator that failed its first collective");
  }

  int connect(Communicator& hosts, const progress::Operation& operation);
  void disconnect(int id, const progress::Operation& operation) noexcept;
  std::shared_ptr<Event> start(int id, Collective collective, const void* from, void* to, int64_t count, DType dtype,
                               const progress::Operation& operation);
  void wait(const Event& done);
  void hold_if_leaving() { const std::lock_guard lock(calls_); }

 private:
  struct Group {
    ncclComm_t comm = nullptr;
    std::string place;  // "communicator dp, rank 1 of 2"
  };

  void prove_order(Communicator& hosts, int id, const progress::Operation& operation);
  void look_for_failures();
  void abort_for_good();
  void abort_all(const std::string& why);
  void refuse_after_failure() const;
  [[noreturn]] void fail(const std::string& what, const std::string& place, ncclResult_t code);
  std::shared_ptr<Event> free_event();

  Queue& queue_;
  PriorityStream stream_;
  CollectiveLog log_;
  Event before_;                               // the queue's work before a collective
  std::vector<std::shared_ptr<Event>> after_;  // collectives; those that nobody else holds are free
  // Held by whoever calls NCCL. A process that is leaving never gives it back, so that its main thread stops there.
  std::timed_mutex calls_;
  std::map<int, Group> groups_;
  int last_id_ = 0;
  std::string failure_;  // why there are no groups any more
  AbortHook hook_;
};

void NcclSession::Impl::refuse_after_failure() const {
  if (!failure_.empty())
    throw Error(ErrorKind::kComm, "the communicators of NCCL were aborted", failure_,
                "look at the first error; the same command goes on from the last checkpoint");
}

void NcclSession::Impl::abort_all(const std::string& why) {
  std::vector<ncclComm_t> comms;
  for (const auto& [id, each] : groups_) comms.push_back(each.comm);
  groups_.clear();
  failure_ = why;
  abort_together(comms, queue_.device());
}

// From the watchdog's thread. A main thread that hangs inside a call of NCCL still uses what an abort would free: then
// the end of the process has to do.
void NcclSession::Impl::abort_for_good() {
  if (calls_.try_lock_for(kCallPatience)) abort_all("the watchdog ends this process");
}

void NcclSession::Impl::fail(const std::string& what, const std::string& place, ncclResult_t code) {
  const char* last = ncclGetLastError(nullptr);
  const std::string detail = last == nullptr || *last == '\0' ? "" : fmt::format(" ({})", last);
  const std::string text = fmt::format("NCCL: {}: {}{}", what, ncclGetErrorString(code), detail);
  abort_all(text);
  // A kernel that failed earlier makes NCCL fail, too: it is the one to name.
  const cudaError_t device = cudaStreamQuery(queue_.stream());
  if (device != cudaSuccess && device != cudaErrorNotReady) throw_cuda_error(device, "work before a collective");
  throw Error(ErrorKind::kComm, text, place, "look at the messages of the other ranks; NCCL_DEBUG=INFO says more");
}

void NcclSession::Impl::look_for_failures() {
  const std::lock_guard lock(calls_);
  if (log_.advanced()) progress::tick();
  for (const auto& [id, each] : groups_) {
    ncclResult_t state = ncclSuccess;
    const ncclResult_t code = ncclCommGetAsyncError(each.comm, &state);
    if (code != ncclSuccess) state = code;
    if (state != ncclSuccess && state != ncclInProgress) fail("a collective failed", std::string(each.place), state);
  }
}

int NcclSession::Impl::connect(Communicator& hosts, const progress::Operation& operation) {
  const ncclUniqueId unique = agree_on_id(hosts);
  const std::string place = fmt::format("communicator {}, rank {} of {}", hosts.name(), hosts.rank(), hosts.size());
  int id = 0;
  {
    const progress::Inside inside(operation);
    const std::lock_guard lock(calls_);
    refuse_after_failure();
    ncclComm_t comm = nullptr;
    const ncclResult_t code = ncclCommInitRank(&comm, hosts.size(), unique, hosts.rank());
    if (code != ncclSuccess) fail("the ranks could not be connected", place, code);
    id = ++last_id_;
    groups_[id] = {comm, place};
  }
  prove_order(hosts, id, operation);
  return id;
}

// Ranks that are called otherwise than in MPI would mix up parts without a word. The first collective also opens the
// connections, so that what fails there fails now.
void NcclSession::Impl::prove_order(Communicator& hosts, int id, const progress::Operation& operation) {
  const auto size = static_cast<size_t>(hosts.size());
  const int32_t mine = hosts.rank();
  auto* ranks = queue_.scratch_of<int32_t>(hosts.size());
  queue_.copy_in(ranks + mine, &mine, sizeof mine);
  wait(*start(id, Collective::kAllGather, ranks + mine, ranks, 1, DType::kI32, operation));
  std::vector<int32_t> seen(size, -1);
  queue_.copy_out(seen.data(), ranks, static_cast<int64_t>(size * sizeof(int32_t)));
  for (size_t rank = 0; rank < size; ++rank)
    if (seen[rank] != static_cast<int32_t>(rank))
      throw Error(ErrorKind::kComm, fmt::format("NCCL takes rank {} for rank {}", seen[rank], rank),
                  fmt::format("communicator {}, rank {} of {}", hosts.name(), mine, size),
                  "start every rank with the same NCCL library, and the same CUDA_VISIBLE_DEVICES on one node");
}

void NcclSession::Impl::disconnect(int id, const progress::Operation& operation) noexcept {
  const auto abort = [this] {
    const std::lock_guard lock(calls_);
    if (failure_.empty()) abort_all("a rank's error ended its use");
  };
  try {
    if (std::uncaught_exceptions() > 0) return abort();
    Event idle;
    idle.record(stream_.get());
    queue_.wait_for(idle.get());
    const progress::Inside inside(operation);
    const std::lock_guard lock(calls_);
    if (const auto found = groups_.find(id); found != groups_.end()) {
      const ncclComm_t comm = found->second.comm;
      groups_.erase(found);
      ncclCommDestroy(comm);
    }
  } catch (const std::exception&) {  // the device or a rank failed meanwhile: nothing waits for this communicator
    abort();
  }
}

// An event may be recorded anew as soon as the last wait for it is on its stream.
std::shared_ptr<Event> NcclSession::Impl::free_event() {
  for (const std::shared_ptr<Event>& event : after_)
    if (event.use_count() == 1) return event;
  return after_.emplace_back(std::make_shared<Event>());
}

std::shared_ptr<Event> NcclSession::Impl::start(int id, Collective collective, const void* from, void* to,
                                                int64_t count, DType dtype, const progress::Operation& operation) {
  const progress::Inside inside(operation);
  const std::lock_guard lock(calls_);
  refuse_after_failure();
  const Group& ranks = groups_.at(id);
  const cudaStream_t stream = stream_.get();
  before_.record(queue_.stream());
  NX_CUDA(cudaStreamWaitEvent(stream, before_.get(), 0));
  log_.begin(operation, stream);
  const auto elements = static_cast<size_t>(count);
  const ncclDataType_t type = nccl_type(dtype);
  ncclResult_t code = ncclSuccess;
  switch (collective) {
    case Collective::kAllReduce: code = ncclAllReduce(from, to, elements, type, ncclSum, ranks.comm, stream); break;
    case Collective::kReduceScatter:
      code = ncclReduceScatter(from, to, elements, type, ncclSum, ranks.comm, stream);
      break;
    case Collective::kAllGather: code = ncclAllGather(from, to, elements, type, ranks.comm, stream); break;
  }
  if (code != ncclSuccess) fail(operation.name + " could not start", std::string(ranks.place), code);
  std::shared_ptr<Event> after = free_event();
  after->record(stream);
  log_.end(stream);
  return after;
}

void NcclSession::Impl::wait(const Event& done) {
  const std::lock_guard lock(calls_);
  refuse_after_failure();
  NX_CUDA(cudaStreamWaitEvent(queue_.stream(), done.get(), 0));
}

NcclSession::NcclSession(Queue& queue) : impl_(std::make_shared<Impl>(queue)) {}
NcclSession::~NcclSession() = default;

int NcclSession::connect(Communicator& hosts, const progress::Operation& operation) {
  return impl_->connect(hosts, operation);
}

void NcclSession::disconnect(int id, const progress::Operation& operation) noexcept {
  impl_->disconnect(id, operation);
}

std::function<void()> NcclSession::start(int id, Collective collective, const void* from, void* to, int64_t count,
                                         DType dtype, const progress::Operation& operation) {
  return [impl = impl_, done = impl_->start(id, collective, from, to, count, dtype, operation)] { impl->wait(*done); };
}

void NcclSession::hold_if_leaving() {
  impl_->hold_if_leaving();
}

}  // namespace nexus::cuda
