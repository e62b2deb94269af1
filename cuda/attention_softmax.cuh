// The online softmax of the forward kernels of our own attention.
#pragma once

#include "cuda/attention_tiles.cuh"

namespace nexus::cuda::attention {

// Running softmax of a lane's rows. `highest` is of the row, `total` of the lane's keys.
template <typename Shape>
struct Softmax {
  float highest[Shape::kRowsEach], total[Shape::kRowsEach];
};

// Turns scores into unnormalised probabilities and rescales what was summed before. Own row i is query first_query + i;
// the tile has `key_rows` keys.
template <typename Shape, bool kCausal>
__device__ inline void softmax_step(int first_query, int first_key, int key_rows, float log2_scale,
                                    Softmax<Shape>& state, Scores<Shape>& scores, Sums<Shape>& sums) {
  // The lane's key j of the tile is visible to own row i if it is no later: 16 j <= visible + kGroups i; without a
  // causal mask if it exists: 16 j <= visible.
  const int visible = (kCausal ? first_query + group_of_thread() - first_key : key_rows - 1) - lane_of_row();
  constexpr int kStep = kCausal ? Shape::kGroups : 0;
#pragma unroll
  for (int i = 0; i < Shape::kRowsEach; ++i) {
    float highest = -kInfinity;
#pragma unroll
    for (int j = 0; j < Shape::kColumnsEach; ++j) {
      if (j * kLanes > visible + i * kStep) scores[i][j] = -kInfinity;
      highest = fmaxf(highest, scores[i][j]);
    }
    // Key 0 is visible to all and lies in the first tile: from then on this is finite.
    highest = fmaxf(state.highest[i], max_of_row(highest));
    const float shrink = exp2f((state.highest[i] - highest) * log2_scale);
    float total = 0;
#pragma unroll
    for (int j = 0; j < Shape::kColumnsEach; ++j) {
      // The difference first: of huge scores it is exact, the scaled scores are not.
      scores[i][j] = exp2f((scores[i][j] - highest) * log2_scale);
      total += scores[i][j];
    }
    state.highest[i] = highest;
    state.total[i] = state.total[i] * shrink + total;
#pragma unroll
    for (int c = 0; c < Shape::kColumns; ++c) sums[i][c] *= shrink;
  }
}

template <typename Shape>
__device__ inline void clear(Softmax<Shape>& state) {
#pragma unroll
  for (int i = 0; i < Shape::kRowsEach; ++i) {
    state.highest[i] = -kInfinity;
    state.total[i] = 0;
  }
}

}  // namespace nexus::cuda::attention
