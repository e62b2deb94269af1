#include "train/gradient_exchange.h"

#include "params/replication.h"

namespace nexus {
namespace {

// With MPI a request holds scratch memory, (dp - 1) / dp of its bucket; more of them in flight would gain nothing.
constexpr size_t kMaxInFlight = 4;

}  // namespace

GradientExchange::GradientExchange(ProcessGrid& grid, ParamStore& params)
    : grid_(grid),
      params_(params),
      buckets_(params.table().buckets()),
      norm_buffer_(params.backend().allocate(grid.dp_size() * grid.tp_size() * size_of(DType::kF64),
                                             "the parts of the gradient norm")),
      norm_parts_(norm_buffer_.tensor(DType::kF64, {grid.dp_size() * grid.tp_size()})) {
  for (int rank = 0; rank < grid.dp_size(); ++rank) ranges_.push_back(norm_ranges(params.table(), rank));
}

// With sequence parallelism the weights of norms, which every tensor-parallel rank holds, have seen a share of the rows
// on each.
void GradientExchange::add_partial_norm_weights(const Bucket& bucket) {
  const ParamTable& table = params_.table();
  if (!table.sharding().sequence || grid_.tp_size() == 1) return;
  for (int index = bucket.first; index < bucket.end; ++index)
    if (!table[index].sharded()) grid_.tp().all_reduce_sum(params_.grad(index));
}

void GradientExchange::start(int bucket_index) {
  const Bucket& bucket = buckets_[static_cast<size_t>(bucket_index)];
  if (grid_.dp_size() * grid_.tp_size() == 1) return;
  add_partial_norm_weights(bucket);
  if (grid_.dp_size() == 1) return;
  if (pending_.size() == kMaxInFlight) {
    pending_.front().wait();
    pending_.pop_front();
  }
  const Tensor gradients = params_.grad().flat(bucket.offset, bucket.count);
  if (params_.table().sharding().zero) {
    const FlatRange part = bucket_part(bucket, grid_.dp_rank(), grid_.dp_size());
    pending_.push_back(grid_.dp().start_reduce_scatter_sum(gradients, params_.grad().flat(part.begin, part.count)));
  } else {
    pending_.push_back(grid_.dp().start_all_reduce_sum(gradients));
  }
  for (Communicator::Request& request : pending_) request.poke();
}

void GradientExchange::finish() {
  for (Communicator::Request& request : pending_) request.wait();
  pending_.clear();
  const int dp = grid_.dp_size();
  const Tensor mine = norm_parts_.flat(grid_.tp_rank() * dp, dp);
  for (int rank = 0; rank < dp; ++rank) {
    if (params_.table().sharding().zero && rank != grid_.dp_rank()) continue;
    params_.backend().run(
        ops::SumSquares{.x = params_.grad(), .ranges = ranges_[static_cast<size_t>(rank)], .out = mine.flat(rank, 1)});
  }
  if (params_.table().sharding().zero) grid_.dp().all_gather(mine.flat(grid_.dp_rank(), 1), mine);
  grid_.tp().all_gather(mine, norm_parts_);
}

double GradientExchange::sum_squares() const {
  std::vector<double> parts(static_cast<size_t>(norm_parts_.count()));
  params_.backend().copy_out(parts.data(), norm_parts_);
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

void GradientExchange::share_weights() {
  all_gather_weights(grid_.dp(), params_);
}

}  // namespace nexus
