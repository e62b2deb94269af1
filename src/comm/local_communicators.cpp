// Communicators that need no MPI: one rank alone, and ranks that are only imagined.
#include <cstring>

#include "comm/communicator.h"
#include "comm/progress.h"
#include "comm/tensor_checks.h"

namespace nexus {
namespace {

class SelfCommunicator final : public Communicator {
 public:
  explicit SelfCommunicator(const std::string& name) : name_(name), channel_(name, 0, 1) {}
  int rank() const override { return 0; }
  int size() const override { return 1; }
  const std::string& name() const override { return name_; }
  std::unique_ptr<Communicator> split(int, int, const std::string& name) override {
    return std::make_unique<SelfCommunicator>(name);
  }

  void barrier() override { channel_.next("barrier", 0, "byte"); }
  Request start_all_reduce_sum(const Tensor& x) override {
    check_all_reduce(x);
    channel_.next("all_reduce", x.count(), name_of(x.dtype));
    return {};
  }
  Request start_reduce_scatter_sum(const Tensor& x, const Tensor& mine) override {
    check_parts(x, mine, 0, 1);
    channel_.next("reduce_scatter", x.count(), name_of(x.dtype));
    copy(x, mine);
    return {};
  }
  Request start_all_gather(const Tensor& mine, const Tensor& all) override {
    check_parts(all, mine, 0, 1);
    channel_.next("all_gather", all.count(), name_of(all.dtype));
    copy(mine, all);
    return {};
  }
  void sum(std::span<double> values) override {
    channel_.next("all_reduce", static_cast<int64_t>(values.size()), name_of(DType::kF64));
  }
  void broadcast(void*, int64_t size_bytes, int root) override {
    NX_CHECK(root == 0, "root {} of one rank", root);
    channel_.next("broadcast", size_bytes, "byte");
  }
  std::vector<std::string> all_gather_text(const std::string& mine) override {
    channel_.next("all_gather_text", static_cast<int64_t>(mine.size()), "byte");
    return {mine};
  }

 private:
  static void copy(const Tensor& from, const Tensor& to) {
    if (from.data != to.data) std::memcpy(to.data, from.data, static_cast<size_t>(from.size_bytes()));
  }
  std::string name_;
  progress::Channel channel_;
};

class DryCommunicator final : public Communicator {
 public:
  DryCommunicator(int rank, int size) : rank_(rank), size_(size) {
    NX_CHECK(size >= 1 && rank >= 0 && rank < size, "rank {} of {}", rank, size);
  }
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const std::string& name() const override { return name_; }
  // Which ranks share a colour cannot be known without asking them, unless there are none.
  std::unique_ptr<Communicator> split(int, int, const std::string&) override {
    NX_CHECK(size_ == 1, "{} imagined ranks cannot be asked for their colours", size_);
    return make_dry_communicator(0, 1);
  }

  void barrier() override {}
  Request start_all_reduce_sum(const Tensor& x) override {
    check_all_reduce(x);
    group_bytes_ += 2 * (size_ - 1) * x.size_bytes();
    return {};
  }
  Request start_reduce_scatter_sum(const Tensor& x, const Tensor& mine) override {
    check_parts(x, mine, rank_, size_);
    group_bytes_ += (size_ - 1) * x.size_bytes();
    return {};
  }
  Request start_all_gather(const Tensor& mine, const Tensor& all) override {
    check_parts(all, mine, rank_, size_);
    group_bytes_ += (size_ - 1) * all.size_bytes();
    return {};
  }
  void sum(std::span<double> values) override {
    group_bytes_ += 2 * (size_ - 1) * static_cast<int64_t>(values.size_bytes());
  }
  void broadcast(void*, int64_t, int root) override {
    NX_CHECK(root >= 0 && root < size_, "root {} of {}", root, size_);
  }
  std::vector<std::string> all_gather_text(const std::string& mine) override {
    return std::vector<std::string>(static_cast<size_t>(size_), mine);
  }

 private:
  int rank_, size_;
  std::string name_ = "dry";
};

}  // namespace

std::unique_ptr<Communicator> make_self_communicator() {
  return std::make_unique<SelfCommunicator>("world");
}

std::unique_ptr<Communicator> make_dry_communicator(int rank, int size) {
  return std::make_unique<DryCommunicator>(rank, size);
}

}  // namespace nexus
