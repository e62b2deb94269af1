// Collectives under way on one MPI communicator; internal to comm.
//
// A sum is an exchange of raw elements (every rank receives all ranks' contributions to its own part), a sum in rank
// order by ourselves, and, for an all-reduce, a gather of the parts. The gathers run on a communicator of their own and
// start in the order of their exchanges. So the order in which MPI sees collectives does not depend on who is poked or
// waited for first.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace nexus {

// Throws ErrorKind::kComm unless `code` is MPI_SUCCESS.
void check_mpi(int code, const char* operation);

// Buffers for the exchanged elements, kept for reuse: fresh pages cost as much as the sum itself.
class ScratchPool {
 public:
  Buffer take(int64_t size_bytes);
  void give(Buffer buffer);

 private:
  std::vector<Buffer> free_;
};

class MpiSum;

// What the operations of a communicator share. They hold it, so that a request may outlive its communicator.
struct MpiLinks {
  explicit MpiLinks(MPI_Comm comm, int64_t longest_message);  // takes over `comm`
  ~MpiLinks();
  MpiLinks(const MpiLinks&) = delete;
  MpiLinks& operator=(const MpiLinks&) = delete;

  MPI_Comm comm = MPI_COMM_NULL, gathers = MPI_COMM_NULL;
  int rank = 0, size = 1;
  int64_t longest_message;           // elements of a tensor in one MPI call; int counts demand a limit
  std::deque<MpiSum*> not_gathered;  // all-reduces whose gather has not started, oldest first
  ScratchPool scratch;
};

// Elements [begin, begin + count) of every rank's part of a tensor in one MPI call.
struct MpiPiece {
  int64_t count = 0;          // elements of this rank's part
  const char* own = nullptr;  // its own contribution
  char* out = nullptr;        // where the sum goes
  char* base = nullptr;       // what the offsets count from
  // One entry per rank. MPI reads the arrays until the call is complete.
  std::vector<int> part_counts, part_offsets, exchange_counts, receive_counts, receive_offsets;
  MPI_Datatype type = MPI_DATATYPE_NULL;  // of the parts; an own one if a part's stride exceeds its count
  Buffer scratch;                         // the other ranks' contributions, in rank order
};

// An all-reduce or a reduce-scatter. The pieces point into the tensors.
class MpiSum {
 public:
  static std::shared_ptr<MpiSum> all_reduce(std::shared_ptr<MpiLinks> links, const Tensor& x);
  static std::shared_ptr<MpiSum> reduce_scatter(std::shared_ptr<MpiLinks> links, const Tensor& x, const Tensor& mine);
  ~MpiSum();
  void wait();
  void poke();

 private:
  enum class State { kExchange, kGather, kDone };
  MpiSum(std::shared_ptr<MpiLinks> links, DType dtype, bool gathers);
  void start_exchange(MpiPiece piece);
  void finish_exchange();  // all requests are complete: sums, and starts the gather
  bool exchange_arrived();

  std::shared_ptr<MpiLinks> links_;
  DType dtype_;
  bool gathers_;
  State state_ = State::kExchange;
  std::vector<MpiPiece> pieces_;
  std::vector<MPI_Request> pending_;
};

class MpiGather {
 public:
  MpiGather(std::shared_ptr<MpiLinks> links, const Tensor& mine, const Tensor& all);
  ~MpiGather();
  void wait();
  void poke();

 private:
  std::shared_ptr<MpiLinks> links_;
  DType dtype_;
  std::vector<MpiPiece> pieces_;
  std::vector<MPI_Request> pending_;
};

}  // namespace nexus
