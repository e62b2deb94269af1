// Who owns which element: the partition of a parameter table over its data-parallel ranks.
//
// Rank r of dp_size owns the r-th of dp_size equal parts of every bucket. ZeRO-1 keeps master weights and moments of
// the own part only; without it every rank keeps all of them, and the partition still says who writes what into a
// checkpoint, and in which order the gradient norm adds up.
#pragma once

#include <vector>

#include "backend/backend.h"
#include "params/param_table.h"

namespace nexus {

// A box of one tensor whose elements are contiguous in the flat buffers.
struct ParamPiece {
  int param = 0;             // table index
  Box box;                   // logical coordinates
  int64_t offset = 0;        // in the buffers of gradients and compute weights
  int64_t state_offset = 0;  // in the buffers of master weights and moments
};

// The elements of bucket part `dp_rank`.
FlatRange bucket_part(const Bucket& bucket, int dp_rank, int dp_size);

// What data-parallel rank `dp_rank` owns of this tensor-parallel rank's tensors, in flat order. `state_offset` holds
// for that rank.
std::vector<ParamPiece> pieces_of(const ParamTable& table, int dp_rank);

// What this rank keeps optimizer state of: its own pieces with ZeRO-1, otherwise all of its tensors.
std::vector<ParamPiece> state_pieces(const ParamTable& table);

// What this rank alone writes into a checkpoint: its own pieces, and those of replicated tensors on tp_rank 0 only.
// Together the ranks of a grid cover every tensor exactly once.
std::vector<ParamPiece> owned_pieces(const ParamTable& table);

// The ranges of gradients that bucket parts `dp_rank` of this tensor-parallel rank bring into the global norm:
// replicated tensors count on tp_rank 0 only.
std::vector<FlatRange> norm_ranges(const ParamTable& table, int dp_rank);

}  // namespace nexus
