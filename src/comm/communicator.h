// Ranks and collectives: the only door to MPI (and, for device buffers, NCCL).
//
// All calls are collective over the communicator, in the same order on every rank. Failures throw ErrorKind::kComm.
// Reductions of f32 happen in f32 by the MPI library's fixed algorithm: same ranks, same sizes, same bits.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace nexus {

class Communicator {
 public:
  // A reduction or broadcast under way. `wait` completes it; the destructor waits too, unless an error is unwinding.
  class Request {
   public:
    Request() = default;
    explicit Request(std::function<void()> wait, std::function<void()> poke = {})
        : wait_(std::move(wait)), poke_(std::move(poke)) {}
    ~Request();
    Request(Request&& other) noexcept;
    Request& operator=(Request&& other) noexcept;
    void wait();
    void poke();  // gives the library a chance to make progress; never blocks

   private:
    std::function<void()> wait_, poke_;
  };

  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  virtual void barrier() = 0;
  virtual void all_reduce_sum(const Tensor& x) = 0;           // f32 or f64, in place
  virtual Request start_all_reduce_sum(const Tensor& x) = 0;  // x may not be touched until the request is done
  virtual void broadcast(void* data, int64_t size_bytes, int root) = 0;
  // Every rank's text, in rank order, on every rank.
  virtual std::vector<std::string> all_gather_text(const std::string& mine) = 0;

  // --- agreements, built on the above
  bool any(bool mine);  // true on every rank if true on one
  double max(double mine);
  double sum(double mine);
  std::string broadcast_text(const std::string& text, int root = 0);
  // Agrees on failure before anyone acts: if `error` is set on some rank, every rank throws ErrorKind of the first one
  // with a message that names the ranks and the phase.
  void agree(const std::string& phase, const std::exception_ptr& error);
  // Every rank must hold the same text (a hash of the configuration, say); throws naming the ranks that differ.
  void require_equal(const std::string& what, const std::string& mine);

  // Bytes this rank has sent into collectives so far, by the ring formulas of docs/parallelism.md.
  int64_t bytes_moved() const { return bytes_moved_; }

 protected:
  int64_t bytes_moved_ = 0;
};

// One rank; collectives are no-ops. For tools that never start MPI, and for tests.
std::unique_ptr<Communicator> make_self_communicator();

// Starts and ends MPI (MPI_THREAD_FUNNELED). Refuses singletons that a launcher meant to be one job, with the cure.
class MpiSession {
 public:
  MpiSession(int* argc, char*** argv);
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
  std::unique_ptr<Communicator> world();
  // Ends all ranks now; for errors that other ranks may not have seen.
  [[noreturn]] static void abort(int exit_code);
  static std::string library_version();
};

}  // namespace nexus
