#include "params/replication.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "core/hash.h"
#include "core/host.h"

namespace nexus {
namespace {

// Of one message of gather_tensor: far below what MPI counts in an int.
constexpr int64_t kGatherBytes = int64_t{256} << 20;

// --- gathering
// The rows of a piece that lie in `rows`: the box and its elements; nothing if there are none.
std::string pack_piece(const ParamStore& params, const Tensor& state, const ParamPiece& piece, const Box& rows) {
  const Box box = intersection(piece.box, rows);
  if (box.empty()) return "";
  const int64_t first = piece.state_offset + (box.begin_row - piece.box.begin_row) * piece.box.columns;
  std::string text(sizeof(Box) + static_cast<size_t>(box.count() * size_of(state.dtype)), '\0');
  std::memcpy(text.data(), &box, sizeof(Box));
  params.backend().copy_out(text.data() + sizeof(Box), state.flat(first, box.count()));
  return text;
}

// Puts every piece of one rank's message in its place of the whole tensor. Returns how many elements they were.
int64_t unpack_pieces(const std::string& text, int64_t columns, int64_t element, char* whole) {
  int64_t count = 0;
  for (size_t at = 0; at < text.size();) {
    Box box;
    std::memcpy(&box, text.data() + at, sizeof box);
    at += sizeof box;
    const auto run = static_cast<size_t>(box.columns * element);
    for (int64_t row = 0; row < box.rows; ++row, at += run)
      std::memcpy(whole + ((box.begin_row + row) * columns + box.begin_column) * element, text.data() + at, run);
    count += box.count();
  }
  return count;
}

void all_gather_parts(Communicator& dp, const ParamTable& table, const Tensor& flat) {
  std::vector<Communicator::Request> pending;
  for (const Bucket& bucket : table.buckets()) {
    const FlatRange part = bucket_part(bucket, dp.rank(), dp.size());
    pending.push_back(dp.start_all_gather(flat.flat(part.begin, part.count), flat.flat(bucket.offset, bucket.count)));
  }
  for (Communicator::Request& request : pending) request.wait();
}

// --- comparing
std::string digest_of(Backend& backend, const std::vector<Tensor>& parts) {
  constexpr int64_t kBlock = 1 << 23;  // enough to keep copies from a GPU under way while others are hashed
  Hasher hasher;
  std::vector<std::byte> host;
  for (const Tensor& part : parts) {
    for (int64_t begin = 0; begin < part.count(); begin += kBlock) {
      const Tensor block = part.flat(begin, std::min(kBlock, part.count() - begin));
      host.resize(static_cast<size_t>(block.size_bytes()));
      backend.copy_out(host.data(), block);
      hasher.add(host.data(), host.size());
    }
  }
  return hasher.digest();
}

// One digest per tensor of everything of it that other ranks hold, too.
std::vector<std::string> tensor_digests(const ParamStore& params) {
  std::vector<std::string> digests;
  for (const ParamSpec& spec : params.table()) {
    std::vector<Tensor> parts = {params.compute().flat(spec.offset, spec.local.count())};
    if (!params.table().sharding().zero) {
      for (const Tensor& state : {params.master(), params.moment1(), params.moment2()})
        if (state.defined() && state.data != params.compute().data)
          parts.push_back(state.flat(spec.offset, spec.local.count()));
    }
    digests.push_back(digest_of(params.backend(), parts));
  }
  return digests;
}

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += part;
  return text;
}

// World ranks whose digest of a tensor is not the one that most of `members` have; all of them where no majority can
// tell who is wrong; empty if all agree.
std::vector<int> suspects(const std::vector<int>& members, const std::vector<std::string>& digests) {
  std::map<std::string, int> votes;
  for (const int rank : members) ++votes[digests[static_cast<size_t>(rank)]];
  if (votes.size() == 1) return {};
  std::string majority;
  for (const auto& [digest, count] : votes)
    if (2 * count > static_cast<int>(members.size())) majority = digest;
  std::vector<int> ranks;
  for (const int rank : members)
    if (digests[static_cast<size_t>(rank)] != majority) ranks.push_back(rank);
  return ranks;
}

// Groups of world ranks that must hold equal values of a tensor.
std::vector<std::vector<int>> replica_groups(const ProcessGrid& grid, const ParamSpec& spec) {
  std::vector<std::vector<int>> groups(spec.sharded() ? static_cast<size_t>(grid.tp_size()) : 1);
  for (int rank = 0; rank < grid.dp_size() * grid.tp_size(); ++rank)
    groups[static_cast<size_t>(rank) % groups.size()].push_back(rank);
  return groups;
}

[[noreturn]] void report_divergence(ProcessGrid& grid, const ParamTable& table, const std::vector<std::string>& mine,
                                    const std::string& where) {
  const std::vector<std::string> all = grid.world().all_gather_text(join(mine));
  const size_t width = mine[0].size();
  const std::vector<std::string> hosts = grid.world().all_gather_text(host_name());
  std::string first, ranks;
  std::set<std::string> nodes;
  int tensors = 0;
  for (int index = 0; index < table.size(); ++index) {
    std::vector<std::string> digests;
    for (const std::string& text : all) digests.push_back(text.substr(static_cast<size_t>(index) * width, width));
    std::vector<int> named;
    for (const std::vector<int>& group : replica_groups(grid, table[index]))
      for (const int rank : suspects(group, digests)) named.push_back(rank);
    if (named.empty()) continue;
    ++tensors;
    if (!first.empty()) continue;
    first = table[index].name;
    std::sort(named.begin(), named.end());
    for (const int rank : named) ranks += fmt::format("{}{}", ranks.empty() ? "" : ",", rank);
    for (const int rank : named) nodes.insert(hosts[static_cast<size_t>(rank)]);
  }
  ReplicaError error(
      ErrorKind::kDevice,
      fmt::format("replicas differ: rank {} against the peers, first in {} ({} tensors differ)", ranks, first, tensors),
      where,
      "suspect that rank's memory or device (of two that differ, either): run the same command elsewhere; it "
      "goes on from the last checkpoint");
  error.set_suspect_node(nodes.size() == 1 ? *nodes.begin() : "");
  throw error;
}

}  // namespace

Sharding sharding_of(const ProcessGrid& grid, bool zero, bool sequence) {
  return {grid.tp_rank(),
          grid.tp_size(),
          grid.dp_rank(),
          grid.dp_size(),
          zero && grid.dp_size() > 1,
          sequence && grid.tp_size() > 1};
}

void all_gather_weights(Communicator& dp, ParamStore& params) {
  if (params.table().sharding().zero) all_gather_parts(dp, params.table(), params.compute());
}

void all_gather_master(Communicator& dp, const ParamStore& params, const Tensor& flat) {
  Backend& backend = params.backend();
  if (!params.table().sharding().zero) {
    backend.run(ops::Copy{.from = params.master(), .to = flat});
    return;
  }
  for (const Bucket& bucket : params.table().buckets()) {
    const FlatRange part = bucket_part(bucket, dp.rank(), dp.size());
    backend.run(ops::Copy{.from = params.master().flat(bucket.offset / dp.size(), part.count),
                          .to = flat.flat(part.begin, part.count)});
  }
  all_gather_parts(dp, params.table(), flat);
}

Buffer gather_tensor(Communicator& world, const ParamStore& params, const Tensor& state, int param) {
  const ParamSpec& spec = params.table()[param];
  const int64_t element = size_of(state.dtype);
  const std::vector<ParamPiece> pieces = owned_pieces(params.table());
  Buffer whole = host_buffer(spec.count() * element);
  const int64_t block_rows = std::max<int64_t>(1, kGatherBytes / (spec.columns() * element));
  int64_t count = 0;
  for (int64_t row = 0; row < spec.rows(); row += block_rows) {
    const Box rows{row, std::min(block_rows, spec.rows() - row), 0, spec.columns()};
    std::string mine;
    for (const ParamPiece& piece : pieces)
      if (piece.param == param) mine += pack_piece(params, state, piece, rows);
    for (const std::string& text : world.all_gather_text(mine))
      count += unpack_pieces(text, spec.columns(), element, static_cast<char*>(whole.data()));
  }
  NX_CHECK(count == spec.count(), "{} of {} elements of {}", count, spec.count(), spec.name);
  return whole;
}

void check_replicas(ProcessGrid& grid, const ParamStore& params, const std::string& where) {
  if (grid.world().size() == 1) return;
  const ParamTable& table = params.table();
  const std::vector<std::string> mine = tensor_digests(params);
  std::string own, common;
  for (int index = 0; index < table.size(); ++index)
    (table[index].sharded() ? own : common) += mine[static_cast<size_t>(index)];
  const std::vector<std::string> all = grid.world().all_gather_text(hash_text(own) + hash_text(common));
  bool equal = true;
  for (size_t rank = 0; rank < all.size(); ++rank) {
    const size_t peer = rank % static_cast<size_t>(grid.tp_size());  // of equal tp_rank, in the first dp group
    const size_t width = all[0].size() / 2;
    equal = equal && all[rank].substr(0, width) == all[peer].substr(0, width) &&
            all[rank].substr(width) == all[0].substr(width);
  }
  if (!equal) report_divergence(grid, table, mine, where);
}

}  // namespace nexus
