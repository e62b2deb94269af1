// What a training pass forgets and its backward pass computes again: memory bought with time, the same bits.
#pragma once

namespace nexus {

enum class Recompute {
  kNone,
  kActivations  // outputs of GELUs and gates (a1 and a2 of Nexus-Rank, a of Pattention and of an MLP), from their
                // inputs
};

constexpr const char* name_of(Recompute recompute) {
  return recompute == Recompute::kNone ? "none" : "activations";
}

}  // namespace nexus
