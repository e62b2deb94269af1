// The communicator of ranks whose tensors lie in the memory of GPUs: collectives on tensors go through NCCL, what lies
// in host memory through the communicator that it decorates.
#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "comm/progress.h"
#include "comm/stall_report.h"
#include "comm/tensor_checks.h"
#include "core/host.h"
#include "cuda/cuda_backend.h"
#include "cuda/nccl_session.h"
#include "cuda/queue_of.h"

namespace nexus {
namespace {

using cuda::Collective;

// World rank of the first rank of `hosts`. Collective.
int first_world_rank(Communicator& hosts, int world_rank) {
  int first = world_rank;
  if (hosts.size() > 1) hosts.broadcast(&first, sizeof first, 0);
  return first;
}

class GpuCommunicator final : public Communicator {
 public:
  // `session` is null where the world is one rank. Collective over `hosts`.
  GpuCommunicator(std::unique_ptr<Communicator> hosts, cuda::Queue& queue, std::shared_ptr<cuda::NcclSession> session,
                  int world_rank)
      : hosts_(std::move(hosts)),
        queue_(queue),
        session_(std::move(session)),
        world_rank_(world_rank),
        // A name of its own: `hosts` counts other collectives under the plain one.
        channel_(hosts_->name() + "/gpu", first_world_rank(*hosts_, world_rank), hosts_->size()) {}

  ~GpuCommunicator() override {
    if (connection_) session_->disconnect(*connection_, channel_.next("disconnect", 0, "byte"));
  }

  int rank() const override { return hosts_->rank(); }
  int size() const override { return hosts_->size(); }
  const std::string& name() const override { return hosts_->name(); }

  std::unique_ptr<Communicator> split(int color, int key, const std::string& name) override {
    hold_if_leaving();
    auto part = std::make_unique<GpuCommunicator>(hosts_->split(color, key, name), queue_, session_, world_rank_);
    if (part->size() > 1) part->connect();  // what cannot work should fail before training starts
    return part;
  }

  void barrier() override {
    hold_if_leaving();
    hosts_->barrier();
  }

  Request start_all_reduce_sum(const Tensor& x) override {
    check_all_reduce(x);
    if (is_idle("all_reduce", x)) return {};
    group_bytes_ += 2 * (size() - 1) * x.size_bytes();
    return start("all_reduce", Collective::kAllReduce, x, x, x);
  }

  Request start_reduce_scatter_sum(const Tensor& x, const Tensor& mine) override {
    check_parts(x, mine, rank(), size());
    if (size() == 1) copy(x, mine);
    if (is_idle("reduce_scatter", x)) return {};
    group_bytes_ += (size() - 1) * x.size_bytes();
    return start("reduce_scatter", Collective::kReduceScatter, x, mine, x);
  }

  Request start_all_gather(const Tensor& mine, const Tensor& all) override {
    check_parts(all, mine, rank(), size());
    if (size() == 1) copy(mine, all);
    if (is_idle("all_gather", all)) return {};
    group_bytes_ += (size() - 1) * all.size_bytes();
    return start("all_gather", Collective::kAllGather, mine, all, all);
  }

  void sum(std::span<double> values) override {
    hold_if_leaving();
    hosts_->sum(values);
    group_bytes_ += 2 * (size() - 1) * static_cast<int64_t>(values.size_bytes());
  }

  void broadcast(void* data, int64_t size_bytes, int root) override {
    hold_if_leaving();
    hosts_->broadcast(data, size_bytes, root);
  }

  std::vector<std::string> all_gather_text(const std::string& mine) override {
    hold_if_leaving();
    return hosts_->all_gather_text(mine);
  }

 private:
  void hold_if_leaving() {
    if (session_) session_->hold_if_leaving();
  }

  // The world connects at its first collective on tensors, which a run may never make.
  void connect() {
    if (!connection_) connection_ = session_->connect(*hosts_, channel_.next("connect", 0, "byte"));
  }

  // Counts a collective that has nothing to send.
  bool is_idle(std::string_view what, const Tensor& whole) {
    if (size() > 1 && whole.count() > 0) return false;
    channel_.next(what, whole.count(), name_of(whole.dtype));
    return true;
  }

  Request start(std::string_view what, Collective collective, const Tensor& from, const Tensor& to,
                const Tensor& whole) {
    connect();
    const progress::Operation operation = channel_.next(what, whole.count(), name_of(whole.dtype));
    return Request(session_->start(*connection_, collective, from.data, to.data, std::min(from.count(), to.count()),
                                   whole.dtype, operation));
  }

  void copy(const Tensor& from, const Tensor& to) {
    if (from.data == to.data || from.count() == 0) return;
    NX_CUDA(cudaMemcpyAsync(to.data, from.data, static_cast<size_t>(from.size_bytes()), cudaMemcpyDeviceToDevice,
                            queue_.stream()));
  }

  std::unique_ptr<Communicator> hosts_;
  cuda::Queue& queue_;
  std::shared_ptr<cuda::NcclSession> session_;
  int world_rank_;
  progress::Channel channel_;
  std::optional<int> connection_;
};

// "GPU-8f6d1b2c-...", as nvidia-smi writes it.
std::string device_uuid(int device) {
  cudaDeviceProp facts{};
  NX_CUDA(cudaGetDeviceProperties(&facts, device));
  std::string text = "GPU";
  for (size_t i = 0; i < sizeof facts.uuid.bytes; ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned char>(facts.uuid.bytes[i]));
  }
  return text;
}

// NCCL hangs, or worse, where two ranks share a GPU. Collective.
void refuse_shared_gpus(Communicator& hosts, int device) {
  const std::string mine = device_uuid(device);
  const std::vector<std::string> uuids = hosts.all_gather_text(mine), names = hosts.all_gather_text(host_name());
  std::map<std::string, std::vector<int>> users;
  for (size_t rank = 0; rank < uuids.size(); ++rank) users[uuids[rank]].push_back(static_cast<int>(rank));
  for (const auto& [uuid, ranks] : users) {
    if (ranks.size() == 1) continue;
    throw Error(ErrorKind::kConfig, fmt::format("{} share the GPU {}", rank_list(ranks), uuid),
                "host " + names[static_cast<size_t>(ranks[0])],
                "start one rank per GPU: on each host as many ranks as it has GPUs");
  }
}

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator> hosts, Backend& backend) {
  cuda::Queue& queue = cuda::queue_of(backend);
  std::shared_ptr<cuda::NcclSession> session;
  if (hosts->size() > 1) {
    session = std::make_shared<cuda::NcclSession>(queue);
    refuse_shared_gpus(*hosts, queue.device());
  }
  const int world_rank = hosts->rank();
  return std::make_unique<GpuCommunicator>(std::move(hosts), queue, std::move(session), world_rank);
}

}  // namespace nexus
