#include "comm/mpi_operations.h"

#include <algorithm>

#include "comm/rank_sum.h"
#include "comm/tensor_checks.h"

namespace nexus {
namespace {

MPI_Datatype element_type(DType dtype) {
  switch (dtype) {
    case DType::kF32: return MPI_FLOAT;
    case DType::kF64: return MPI_DOUBLE;
    case DType::kBF16: return MPI_UINT16_T;  // only ever moved: MPI knows no bf16
    default: break;
  }
  NX_CHECK(false, "no collective on {}", name_of(dtype));
  return MPI_DATATYPE_NULL;
}

// `count` elements whose next neighbour begins `stride` elements later: offsets then count ranks, and int suffices.
MPI_Datatype strided_type(DType dtype, int64_t count, int64_t stride) {
  MPI_Datatype contiguous = MPI_DATATYPE_NULL, strided = MPI_DATATYPE_NULL;
  check_mpi(MPI_Type_contiguous(static_cast<int>(count), element_type(dtype), &contiguous), "MPI_Type_contiguous");
  check_mpi(MPI_Type_create_resized(contiguous, 0, stride * size_of(dtype), &strided), "MPI_Type_create_resized");
  check_mpi(MPI_Type_commit(&strided), "MPI_Type_commit");
  check_mpi(MPI_Type_free(&contiguous), "MPI_Type_free");
  return strided;
}

void free_types(std::vector<MpiPiece>& pieces, DType dtype) {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized) return;
  for (MpiPiece& piece : pieces)
    if (piece.type != element_type(dtype) && piece.type != MPI_DATATYPE_NULL) MPI_Type_free(&piece.type);
}

// Cuts a tensor of `size` equal parts into pieces of at most `longest` elements over all ranks.
std::vector<MpiPiece> cut_equal_parts(const Tensor& whole, int size, int64_t longest) {
  std::vector<MpiPiece> pieces;
  const int64_t part = whole.count() / size, bytes = size_of(whole.dtype);
  const int64_t step = std::max<int64_t>(1, longest / size);
  for (int64_t begin = 0; begin < part; begin += step) {
    MpiPiece& piece = pieces.emplace_back();
    piece.count = std::min(step, part - begin);
    piece.base = static_cast<char*>(whole.data) + begin * bytes;
    const bool plain = piece.count == part;
    piece.type = plain ? element_type(whole.dtype) : strided_type(whole.dtype, piece.count, part);
    for (int r = 0; r < size; ++r) {
      piece.part_counts.push_back(plain ? static_cast<int>(part) : 1);
      piece.part_offsets.push_back(plain ? static_cast<int>(part) * r : r);
    }
  }
  return pieces;
}

// Elements [begin, begin + count) of x in `size` parts that differ by at most one element.
MpiPiece uneven_parts(const Tensor& x, int64_t begin, int64_t count, int rank, int size) {
  MpiPiece piece;
  const int64_t bytes = size_of(x.dtype);
  piece.base = static_cast<char*>(x.data) + begin * bytes;
  piece.type = element_type(x.dtype);
  for (int64_t r = 0; r < size; ++r) {
    const int64_t from = count * r / size, to = count * (r + 1) / size;
    piece.part_counts.push_back(static_cast<int>(to - from));
    piece.part_offsets.push_back(static_cast<int>(from));
  }
  const auto mine = static_cast<size_t>(rank);
  piece.count = piece.part_counts[mine];
  piece.out = piece.base + piece.part_offsets[mine] * bytes;
  piece.own = piece.out;
  return piece;
}

void wait_all(std::vector<MPI_Request>& pending) {
  check_mpi(MPI_Waitall(static_cast<int>(pending.size()), pending.data(), MPI_STATUSES_IGNORE), "MPI_Waitall");
}

bool test_all(std::vector<MPI_Request>& pending) {
  int done = 0;
  check_mpi(MPI_Testall(static_cast<int>(pending.size()), pending.data(), &done, MPI_STATUSES_IGNORE), "MPI_Testall");
  return done != 0;
}

}  // namespace

void check_mpi(int code, const char* operation) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Error(ErrorKind::kComm, fmt::format("{} failed: {}", operation, std::string(text, static_cast<size_t>(length))),
              "",
              "run the same command again; if it fails again, check the launcher and the network (docs/install.md)");
}

// The smallest buffer that is big enough. If there is none, the mix of sizes has changed: the others are let go, so
// that a grown model does not keep the buffers of the small one.
Buffer ScratchPool::take(int64_t size_bytes) {
  if (size_bytes == 0) return {};
  auto best = free_.end();
  for (auto buffer = free_.begin(); buffer != free_.end(); ++buffer)
    if (buffer->size_bytes() >= size_bytes && (best == free_.end() || buffer->size_bytes() < best->size_bytes()))
      best = buffer;
  if (best == free_.end()) {
    free_.clear();
    return host_buffer(size_bytes);
  }
  Buffer taken = std::move(*best);
  free_.erase(best);
  return taken;
}

void ScratchPool::give(Buffer buffer) {
  if (buffer.size_bytes() > 0) free_.push_back(std::move(buffer));
}

MpiLinks::MpiLinks(MPI_Comm taken, int64_t longest) : comm(taken), longest_message(longest) {
  check_mpi(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(comm, &size), "MPI_Comm_size");
  check_mpi(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check_mpi(MPI_Comm_dup(comm, &gathers), "MPI_Comm_dup");
  check_mpi(MPI_Comm_set_errhandler(gathers, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
}

MpiLinks::~MpiLinks() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized) return;
  MPI_Comm_free(&gathers);
  MPI_Comm_free(&comm);
}

MpiSum::MpiSum(std::shared_ptr<MpiLinks> links, DType dtype, bool gathers)
    : links_(std::move(links)), dtype_(dtype), gathers_(gathers) {}

std::shared_ptr<MpiSum> MpiSum::all_reduce(std::shared_ptr<MpiLinks> links, const Tensor& x) {
  std::shared_ptr<MpiSum> sum(new MpiSum(links, x.dtype, true));
  for (int64_t begin = 0; begin < x.count(); begin += links->longest_message) {
    const int64_t count = std::min(links->longest_message, x.count() - begin);
    sum->start_exchange(uneven_parts(x, begin, count, links->rank, links->size));
  }
  links->not_gathered.push_back(sum.get());
  return sum;
}

std::shared_ptr<MpiSum> MpiSum::reduce_scatter(std::shared_ptr<MpiLinks> links, const Tensor& x, const Tensor& mine) {
  std::shared_ptr<MpiSum> sum(new MpiSum(links, x.dtype, false));
  auto* out = static_cast<char*>(mine.data);
  for (MpiPiece& piece : cut_equal_parts(x, links->size, links->longest_message)) {
    piece.own = piece.base + links->rank * mine.size_bytes();
    piece.out = out;
    out += piece.count * size_of(x.dtype);
    sum->start_exchange(std::move(piece));
  }
  return sum;
}

MpiSum::~MpiSum() {
  if (state_ != State::kDone) {  // abandoned by an error that unwinds: MPI may still write into the buffers
    new std::vector<MpiPiece>(std::move(pieces_));
    pieces_.clear();
    std::erase(links_->not_gathered, this);
  }
  free_types(pieces_, dtype_);
}

void MpiSum::start_exchange(MpiPiece piece) {
  const auto own = static_cast<size_t>(links_->rank);
  piece.exchange_counts = piece.part_counts;
  piece.exchange_counts[own] = 0;  // summed from where it lies
  piece.receive_counts.assign(static_cast<size_t>(links_->size), static_cast<int>(piece.count));
  piece.receive_counts[own] = 0;
  int offset = 0;
  for (const int count : piece.receive_counts) {
    piece.receive_offsets.push_back(offset);
    offset += count;
  }
  piece.scratch = links_->scratch.take(offset * size_of(dtype_));
  MpiPiece& kept = pieces_.emplace_back(std::move(piece));
  check_mpi(MPI_Ialltoallv(kept.base, kept.exchange_counts.data(), kept.part_offsets.data(), kept.type,
                           kept.scratch.data(), kept.receive_counts.data(), kept.receive_offsets.data(),
                           element_type(dtype_), links_->comm, &pending_.emplace_back(MPI_REQUEST_NULL)),
            "MPI_Ialltoallv");
}

bool MpiSum::exchange_arrived() {
  return test_all(pending_);
}

void MpiSum::finish_exchange() {
  pending_.clear();
  for (MpiPiece& piece : pieces_) {
    std::vector<const void*> parts;
    for (int r = 0; r < links_->size; ++r) {
      const int64_t offset = piece.receive_offsets[static_cast<size_t>(r)] * size_of(dtype_);
      parts.push_back(r == links_->rank ? piece.own : static_cast<const char*>(piece.scratch.data()) + offset);
    }
    sum_in_rank_order(dtype_, parts, piece.out, piece.count);
    links_->scratch.give(std::move(piece.scratch));
  }
  state_ = gathers_ ? State::kGather : State::kDone;
  if (!gathers_) return;
  NX_CHECK(links_->not_gathered.front() == this, "a gather out of order");
  links_->not_gathered.pop_front();
  for (const MpiPiece& piece : pieces_)
    check_mpi(MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, piece.base, piece.part_counts.data(),
                              piece.part_offsets.data(), piece.type, links_->gathers,
                              &pending_.emplace_back(MPI_REQUEST_NULL)),
              "MPI_Iallgatherv");
}

void MpiSum::wait() {
  while (state_ == State::kExchange) {
    MpiSum& next = gathers_ ? *links_->not_gathered.front() : *this;
    wait_all(next.pending_);
    next.finish_exchange();
  }
  if (state_ == State::kGather) wait_all(pending_);
  state_ = State::kDone;
}

void MpiSum::poke() {
  if (gathers_) {
    std::deque<MpiSum*>& queue = links_->not_gathered;
    while (!queue.empty() && queue.front()->exchange_arrived()) queue.front()->finish_exchange();
  } else if (state_ == State::kExchange && exchange_arrived()) {
    finish_exchange();
  }
  if (state_ == State::kGather && test_all(pending_)) state_ = State::kDone;
}

MpiGather::MpiGather(std::shared_ptr<MpiLinks> links, const Tensor& mine, const Tensor& all)
    : links_(std::move(links)), dtype_(all.dtype) {
  const bool in_place = is_in_place(all, mine, links_->rank);
  pieces_ = cut_equal_parts(all, links_->size, links_->longest_message);
  const auto* from = static_cast<const char*>(mine.data);
  for (const MpiPiece& piece : pieces_) {
    check_mpi(MPI_Iallgatherv(in_place ? MPI_IN_PLACE : from, static_cast<int>(piece.count), element_type(dtype_),
                              piece.base, piece.part_counts.data(), piece.part_offsets.data(), piece.type, links_->comm,
                              &pending_.emplace_back(MPI_REQUEST_NULL)),
              "MPI_Iallgatherv");
    from += piece.count * size_of(dtype_);
  }
}

MpiGather::~MpiGather() {
  free_types(pieces_, dtype_);
}

void MpiGather::wait() {
  wait_all(pending_);
}

void MpiGather::poke() {
  test_all(pending_);
}

}  // namespace nexus
