// Two ranks in two processes over a socket pair, so that a test may kill one: the other gets kComm, as from MPI.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace nexus {

class PairCommunicator final : public Communicator {
 public:
  PairCommunicator(int rank, int socket) : rank_(rank), socket_(socket) {}
  ~PairCommunicator() override { ::close(socket_); }
  int rank() const override { return rank_; }
  int size() const override { return 2; }
  void barrier() override { exchange(""); }
  const std::string& name() const override { return name_; }
  void sum(std::span<double> values) override {
    NX_CHECK(values.size() == 1);
    double theirs = 0;
    std::memcpy(&theirs, exchange(std::string(reinterpret_cast<char*>(values.data()), sizeof theirs)).data(),
                sizeof theirs);
    values[0] += theirs;
  }
  Request start_all_reduce_sum(const Tensor&) override { return refused(); }
  // A save needs no more than agreements.
  std::unique_ptr<Communicator> split(int, int, const std::string&) override { return nullptr; }
  Request start_reduce_scatter_sum(const Tensor&, const Tensor&) override { return refused(); }
  Request start_all_gather(const Tensor&, const Tensor&) override { return refused(); }
  void broadcast(void* data, int64_t size_bytes, int root) override {
    if (rank_ == root)
      transfer([&](char* at, size_t size) { return ::send(socket_, at, size, MSG_NOSIGNAL); }, data, size_bytes);
    else
      transfer([&](char* at, size_t size) { return ::recv(socket_, at, size, 0); }, data, size_bytes);
  }
  std::vector<std::string> all_gather_text(const std::string& mine) override {
    const std::string theirs = exchange(mine);
    return rank_ == 0 ? std::vector{mine, theirs} : std::vector{theirs, mine};
  }

 private:
  template <typename Call>
  static void transfer(const Call& call, void* data, int64_t size_bytes) {
    for (int64_t done = 0; done < size_bytes;) {
      const ssize_t n = call(static_cast<char*>(data) + done, static_cast<size_t>(size_bytes - done));
      if (n <= 0) throw Error(ErrorKind::kComm, "the other rank is gone");
      done += n;
    }
  }
  // Texts of these tests fit into the socket's buffer, so both may send first.
  std::string exchange(std::string mine) {
    auto size_bytes = static_cast<int64_t>(mine.size());
    broadcast(&size_bytes, sizeof size_bytes, rank_);
    broadcast(mine.data(), size_bytes, rank_);
    broadcast(&size_bytes, sizeof size_bytes, 1 - rank_);
    std::string theirs(static_cast<size_t>(size_bytes), '\0');
    broadcast(theirs.data(), size_bytes, 1 - rank_);
    return theirs;
  }

  static Request refused() {
    NX_CHECK(false, "a save moves no tensors between ranks");
    return {};
  }

  int rank_, socket_;
  std::string name_ = "pair";
};

}  // namespace nexus
