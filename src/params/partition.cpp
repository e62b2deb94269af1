#include "params/partition.h"

#include <algorithm>

namespace nexus {
namespace {

bool counted(const ParamTable& table, const ParamSpec& spec) {
  return spec.sharded() || table.sharding().tp_rank == 0;
}

}  // namespace

FlatRange bucket_part(const Bucket& bucket, int dp_rank, int dp_size) {
  const int64_t part = bucket.count / dp_size;
  return {bucket.offset + dp_rank * part, part};
}

std::vector<ParamPiece> pieces_of(const ParamTable& table, int dp_rank) {
  const Sharding& sharding = table.sharding();
  std::vector<ParamPiece> pieces;
  for (const Bucket& bucket : table.buckets()) {
    const FlatRange part = bucket_part(bucket, dp_rank, sharding.dp_size);
    // With ZeRO-1 the parts of all buckets lie back to back.
    const int64_t shift = sharding.zero ? bucket.offset / sharding.dp_size - part.begin : 0;
    for (int param = bucket.first; param < bucket.end; ++param) {
      const ParamSpec& spec = table[param];
      const int64_t begin = std::max(part.begin - spec.offset, int64_t{0});
      const int64_t end = std::min(part.begin + part.count - spec.offset, spec.local.count());
      if (begin >= end) continue;
      int64_t at = spec.offset + begin;
      for (const Box& box : run_boxes(spec.local, begin, end - begin)) {
        pieces.push_back({param, box, at, at + shift});
        at += box.count();
      }
    }
  }
  return pieces;
}

std::vector<ParamPiece> state_pieces(const ParamTable& table) {
  if (table.sharding().zero) return pieces_of(table, table.sharding().dp_rank);
  std::vector<ParamPiece> pieces;
  for (int param = 0; param < table.size(); ++param)
    pieces.push_back({param, table[param].local, table[param].offset, table[param].offset});
  return pieces;
}

std::vector<ParamPiece> owned_pieces(const ParamTable& table) {
  std::vector<ParamPiece> pieces = pieces_of(table, table.sharding().dp_rank);
  std::erase_if(pieces, [&](const ParamPiece& piece) { return !counted(table, table[piece.param]); });
  return pieces;
}

std::vector<FlatRange> norm_ranges(const ParamTable& table, int dp_rank) {
  std::vector<FlatRange> ranges;
  for (const ParamPiece& piece : pieces_of(table, dp_rank)) {
    if (!counted(table, table[piece.param])) continue;
    if (!ranges.empty() && ranges.back().begin + ranges.back().count == piece.offset)
      ranges.back().count += piece.box.count();
    else
      ranges.push_back({piece.offset, piece.box.count()});
  }
  return ranges;
}

}  // namespace nexus
