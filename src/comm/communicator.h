// Ranks and collectives: the only door to MPI. cuda/cuda_backend.h adds NCCL for tensors in GPU memory.
//
// All calls are collective over the communicator, in the same order on every rank; `Request::wait` is such a call,
// `poke` is not. Failures throw ErrorKind::kComm.
//
// Sums over ranks are taken element by element in rank order, in f32 (f64 for f64) with one rounding to the tensor's
// type at the end, whatever the size of the message and however it is cut. So a sum has the same bits on every rank,
// and an all-reduce has the bits of a reduce-scatter followed by an all-gather: that is why ZeRO-1 changes no bit
// (docs/parallelism.md). While a sum of n bytes flies it holds (size - 1) / size n bytes of host memory, kept for
// reuse.
//
// NCCL adds in an order of its own, which depends on the number of ranks and the size of the message, and may round
// more than once: all ranks get the same bits, but only of two ranks are they those of the rank order.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace nexus {

class Communicator {
 public:
  // A collective under way. `wait` completes it; the destructor waits too, unless an error is unwinding.
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
  virtual const std::string& name() const = 0;  // "world", "dp", "tp": for reports

  // The ranks of equal `color` form a communicator, ordered by `key`.
  virtual std::unique_ptr<Communicator> split(int color, int key, const std::string& name) = 0;

  // --- tensors: f32, f64 or bf16, in memory of the back end that the communicator was made for. Collectives come after
  // what was called on the back end before them. Memory named in a request may not be touched before `wait`; on a GPU
  // `wait` holds up what is called on the back end afterwards, not the host.
  virtual void barrier() = 0;
  // In place, any count.
  virtual Request start_all_reduce_sum(const Tensor& x) = 0;
  // x has size() equal parts; `mine` receives the sum of part rank(). `mine` may be part rank() of x itself; the other
  // parts of x are left as they were.
  virtual Request start_reduce_scatter_sum(const Tensor& x, const Tensor& mine) = 0;
  // Part r of `all` becomes rank r's `mine`. `mine` may be part rank() of `all` itself.
  virtual Request start_all_gather(const Tensor& mine, const Tensor& all) = 0;
  void all_reduce_sum(const Tensor& x) { start_all_reduce_sum(x).wait(); }
  void reduce_scatter_sum(const Tensor& x, const Tensor& mine) { start_reduce_scatter_sum(x, mine).wait(); }
  void all_gather(const Tensor& mine, const Tensor& all) { start_all_gather(mine, all).wait(); }

  // --- host memory
  virtual void sum(std::span<double> values) = 0;  // element by element, in rank order; counts as an all-reduce
  virtual void broadcast(void* data, int64_t size_bytes, int root) = 0;
  // Every rank's text, in rank order, on every rank.
  virtual std::vector<std::string> all_gather_text(const std::string& mine) = 0;

  // --- agreements, built on the above
  bool any(bool mine);  // true on every rank if true on one
  double max(double mine);
  double sum(double mine);
  std::string broadcast_text(const std::string& text, int root = 0);
  // Does `work`, which may throw and must not be collective, on every rank or on rank 0 alone; then the ranks learn how
  // it went. Where it threw on some ranks, every rank throws one error: with the kind, the text and the suspect node of
  // the lowest of them, and all their numbers. The lowest, since rank 0 alone sees what the others fail of (a newer
  // owner of the run folder takes it away), and since no order of kinds would be the better one: each is its rank's own
  // first trouble. A single rank throws what it caught.
  void try_together(const std::string& phase, const std::function<void()>& work);
  void try_on_rank_0(const std::string& phase, const std::function<void()>& work);
  // Every rank must hold the same text (a hash of the configuration, say); throws naming the ranks that differ.
  void require_equal(const std::string& what, const std::string& mine);

  // Bytes that all ranks of this communicator together have sent in collectives on tensors so far, (size - 1) n for a
  // reduce-scatter or an all-gather of n bytes and twice that for an all-reduce; a rank's mean is that over size().
  // docs/parallelism.md has the formulas that it must equal.
  int64_t group_bytes() const { return group_bytes_; }

 protected:
  int64_t group_bytes_ = 0;
};

// The text of the lowest rank that has one, of texts by rank; nothing where all are empty.
struct RankText {
  size_t rank = 0;
  std::string text;
};
std::optional<RankText> first_text(const std::vector<std::string>& texts);

// One rank; collectives are no-ops. For tools that never start MPI, and for tests.
std::unique_ptr<Communicator> make_self_communicator();

// Rank `rank` of `size` imagined ranks: touches no memory, moves nothing, counts bytes. For dry runs (model/dry_run.h).
std::unique_ptr<Communicator> make_dry_communicator(int rank, int size);

// Starts and ends MPI (MPI_THREAD_FUNNELED). Refuses singletons that a launcher meant to be one job, with the cure.
class MpiSession {
 public:
  MpiSession(int* argc, char*** argv);
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
  // No MPI call moves more than `longest_message` elements of a tensor (MPI counts are int); tests shorten it.
  std::unique_ptr<Communicator> world(int64_t longest_message = int64_t{1} << 28);
  // Ends all ranks now; for errors that other ranks may not have seen.
  [[noreturn]] static void abort(int exit_code);
  static std::string library_version();   // that is loaded: "Open MPI v4.1.4"
  static std::string compiled_version();  // the same of the headers; empty where they do not tell
};

}  // namespace nexus
