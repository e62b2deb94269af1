#include "workloads/text/word_merges.h"

#include <algorithm>
#include <bit>

namespace nexus {
namespace {

constexpr uint64_t kNoPair = ~uint64_t{0};

uint64_t pair_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

}  // namespace

WordMerges::WordMerges(size_t merges) : slots_(std::bit_ceil(2 * merges + 2), Slot{kNoPair, 0, 0}) {}

size_t WordMerges::place_of(uint64_t pair) const {
  const size_t mask = slots_.size() - 1;
  size_t at = (pair * 0x9E3779B97F4A7C15ULL >> 32) & mask;  // by the golden ratio
  while (slots_[at].pair != pair && slots_[at].pair != kNoPair) at = (at + 1) & mask;
  return at;
}

void WordMerges::add(int32_t left, int32_t right, int32_t rank, int32_t merged) {
  const uint64_t pair = pair_of(left, right);
  slots_[place_of(pair)] = {pair, rank, merged};
}

void WordMerges::merge(std::vector<int32_t>& ids, Room& room) const {
  if (ids.size() < 2) return;
  auto& symbols = room.symbols;
  auto& heap = room.heap;
  symbols.clear();
  heap.clear();
  const auto later = [](const Room::Candidate& a, const Room::Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
  };
  const auto offer = [&](int32_t at) {
    const Room::Symbol& left = symbols[static_cast<size_t>(at)];
    const int32_t right = symbols[static_cast<size_t>(left.next)].id;
    const Slot& slot = slots_[place_of(pair_of(left.id, right))];
    if (slot.pair == kNoPair) return;
    heap.push_back({slot.rank, at, left.id, right, slot.merged});
    std::push_heap(heap.begin(), heap.end(), later);
  };
  const auto count = static_cast<int32_t>(ids.size());
  for (int32_t i = 0; i < count; ++i)
    symbols.push_back({ids[static_cast<size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1});
  for (int32_t i = 0; i + 1 < count; ++i) offer(i);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const Room::Candidate best = heap.back();
    heap.pop_back();
    Room::Symbol& left = symbols[static_cast<size_t>(best.at)];
    if (left.id != best.left || left.next < 0) continue;  // merged since
    Room::Symbol& right = symbols[static_cast<size_t>(left.next)];
    if (right.id != best.right) continue;
    left.id = best.merged;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) {
      symbols[static_cast<size_t>(left.next)].previous = best.at;
      offer(best.at);
    }
    if (left.previous >= 0) offer(left.previous);
  }
  ids.clear();
  for (int32_t i = 0; i >= 0; i = symbols[static_cast<size_t>(i)].next)
    ids.push_back(symbols[static_cast<size_t>(i)].id);
}

}  // namespace nexus
